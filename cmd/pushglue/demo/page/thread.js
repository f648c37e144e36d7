// thread.js: the comments of a channel, live. Not nginx/www/thread/, which is for readers, who follow one thread from its oldest comment: this
// list is to watch the pipelines by. It shows any channel, of all forums too, the newest at the top at whatever rate they come, and can be held.
import { $, age, h, still } from './dom.js';
import { avatar, fill, nameOf } from './thread/comment.js';

const mostPosts = 60;
const mostHeld = 500; // while the thread is paused
const pace = 60; // ms between changes of the page

export class Thread {
  #list = $('thread');
  #posts = new Map(); // by post number
  #own = new Set(); // ids of messages that were posted here
  #due = []; // what is shown next: type and comment
  #timer;
  #shown = 0; // when the page changed
  #held; // what waits while the thread is paused; undefined when it is not

  // showPlace tells whether comments name their thread; onPlace is called with one that is chosen.
  constructor(onPlace) {
    this.onPlace = onPlace;
    this.showPlace = true;
    setInterval(() => this.#tick(), 5000);
    const pause = $('pause');
    pause.addEventListener('click', () => {
      const held = this.#held;
      this.#held = held ? undefined : [];
      pause.setAttribute('aria-pressed', String(!held));
      this.#labelPause();
      if (held) this.#show(held);
    });
  }

  clear() {
    this.#due.length = 0;
    this.#posts.clear();
    this.#held &&= [];
    this.#labelPause();
    this.#list.replaceChildren();
    $('nothing').hidden = false;
  }

  // mine tells that a message was posted here. It may be shown already.
  mine(id) {
    this.#own.add(id);
    const held = this.#held?.findIndex(([, comment]) => comment.id === id) ?? -1;
    if (held >= 0) {
      this.#show(this.#held.splice(held, 1));
      this.#labelPause();
    }
    for (const post of this.#posts.values()) {
      if (post.id === id) post.element.classList.add('own');
    }
  }

  // take shows what a message says, at once or, when they come fast, with others.
  take({ id, type, data: comment }) {
    if (this.#held && !this.#own.has(id)) {
      this.#held.push([type, comment]);
      if (this.#held.length > mostHeld) this.#held.shift();
      this.#labelPause();
      return;
    }
    this.#due.push([type, comment]);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#show(this.#due.splice(0));
    }, Math.max(0, this.#shown + pace - performance.now()));
  }

  #show(due) {
    this.#shown = performance.now();
    const calm = due.length > 3 || still();
    for (const [type, comment] of due) {
      const key = String(comment.post);
      const known = this.#posts.get(key);
      if (type === 'post_delete') {
        if (known) this.#remove(key, known, calm);
      } else if (known) {
        this.#edit(known, comment);
      } else {
        this.#add(key, comment, calm);
      }
    }
    $('nothing').hidden = this.#posts.size > 0;
  }

  #labelPause() {
    const n = this.#held?.length;
    $('pause').textContent = n === undefined ? 'Pause' : n ? `Resume (${n} new)` : 'Resume';
  }

  #add(key, comment, calm) {
    const name = nameOf(comment.author);
    const date = Date.parse(comment.createdAt) || Date.now();
    const time = h('time', { datetime: new Date(date).toISOString() }, age(date));
    const text = h('div', { class: 'text', dir: 'auto' });
    const meta = h('p', { class: 'meta' }, h('b', { dir: 'auto' }, name), ' ', time);
    if (this.showPlace) {
      const place = `${comment.forum} · ${comment.thread}`;
      meta.append(h('button', {
        type: 'button', class: 'place', title: 'Show this thread', onclick: () => this.onPlace(String(comment.thread)),
      }, place));
    }
    const id = String(comment.id);
    const element = h('li', { class: this.#own.has(id) ? 'post own' : 'post', 'data-id': id },
      avatar(name), h('div', {}, meta, text, h('p', { class: 'remark' })));
    fill(text, comment.message);
    this.#posts.set(key, { id, element, meta, text, time, date });
    this.#list.prepend(element);
    if (!calm) {
      element.animate([{ opacity: 0, transform: 'translateY(-6px)' }, {}], { duration: 250, easing: 'ease-out' });
    }
    if (this.#posts.size > mostPosts) {
      const [oldest, { element }] = this.#posts.entries().next().value;
      this.#posts.delete(oldest);
      element.remove();
    }
  }

  #edit(post, comment) {
    fill(post.text, comment.message);
    post.edited ??= post.meta.appendChild(h('span', { class: 'edited' }, 'edited'));
    post.text.animate([{ backgroundColor: 'var(--mark)' }, {}], { duration: 2000, easing: 'ease-out' });
  }

  #remove(key, { element }, calm) {
    this.#posts.delete(key);
    if (calm) {
      element.remove();
      return;
    }
    element.classList.add('gone');
    const height = `${element.offsetHeight}px`;
    element.animate([{ height, opacity: 1 }, { height, opacity: 0.2, offset: 0.7 }, { height: 0, opacity: 0, paddingBlock: 0 }], { duration: 1200 })
      .finished.then(() => element.remove(), () => element.remove());
  }

  #tick() {
    const now = Date.now();
    for (const { time, date } of this.#posts.values()) {
      const text = age(date, now);
      if (time.textContent !== text) time.textContent = text;
    }
  }
}
