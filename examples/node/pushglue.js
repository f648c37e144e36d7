'use strict';

const { randomUUID } = require('node:crypto');

/**
 * Puts a job on a feed, with the commands that docs/envelope.md names.
 *
 * @param redis a connected client of the package redis
 * @param {string} feed the feed's name
 * @param {object | string} envelope what has changed, or the text of its JSON. As text, numbers can have more digits than JavaScript's.
 * @returns {Promise<string>} the job's id, when Redis has the job
 */
async function put(redis, feed, envelope) {
    const job = randomUUID().replaceAll('-', '');
    const payload = typeof envelope === 'string' ? envelope : JSON.stringify(envelope);
    await redis
        .multi()
        .lPush(`feed.ids:${feed}`, job)
        .incr(`feed.publishes:${feed}`)
        .hSet(`feed.items:${feed}`, job, payload)
        .zAdd(`feed.published:${feed}`, { score: Date.now(), value: job })
        .exec();
    return job;
}

module.exports = { put };
