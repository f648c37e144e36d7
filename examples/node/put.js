#!/usr/bin/env node
'use strict';

// Puts the envelopes that it reads, one a line, on a feed, and writes the ids of their jobs: node put.js FEED <FILE

const readline = require('node:readline');
const { createClient } = require('redis');
const { put } = require('./pushglue.js');

async function main() {
    const [feed, ...rest] = process.argv.slice(2);
    if (!feed || rest.length > 0) {
        throw new Error('usage: node put.js FEED <FILE');
    }
    const redis = createClient({
        url: process.env.REDIS_URL || 'redis://127.0.0.1:6379/0',
        // A lost connection ends it. A server would go on trying, which is the default.
        socket: { reconnectStrategy: (_, cause) => cause || new Error('Redis does not answer') },
    });
    redis.on('error', () => {}); // connect and put reject with it too
    await redis.connect();
    try {
        let number = 0;
        for await (const line of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
            number++;
            check(line, number);
            console.log(await put(redis, feed, line));
        }
    } finally {
        await redis.disconnect();
    }
}

/** Throws unless line is a JSON object. */
function check(line, number) {
    let value = null;
    try {
        value = JSON.parse(line);
    } catch {
        // not even JSON
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        throw new Error(`line ${number} is no JSON object`);
    }
}

main().catch((error) => {
    console.error(`put: ${error.message}`);
    process.exitCode = 1;
});
