// thread.js: the comments of a channel, live.
import { $, age, h, still } from './dom.js';
import { Seen } from './stream.js';

const mostPosts = 60;
const mostHeld = 500; // while the thread is paused
const pace = 60; // ms between changes of the page

export class Thread {
  #list = $('thread');
  #posts = new Map(); // by post number
  #seen = new Seen();
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
    // Not every picture that visitors name exists. Errors do not bubble.
    this.#list.addEventListener('error', ({ target }) => {
      target.classList.add('broken');
      remark(target.closest('.text'));
    }, true);
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
    this.#seen.clear();
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
    if (!this.#seen.add(id)) return;
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
    const name = comment.author?.name || comment.author?.username || 'anonymous';
    const date = Date.parse(comment.createdAt) || Date.now();
    const avatar = h('span', { class: 'avatar', 'aria-hidden': true }, initials(name));
    avatar.style.setProperty('--hue', hue(String(comment.author?.id ?? name)));
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
      avatar, h('div', {}, meta, text, h('p', { class: 'remark' })));
    write(text, comment);
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
    write(post.text, comment);
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

// write inserts a comment's text as HTML. It may: the stage sanitize has left nothing in it that runs,
// in this message and in every other one of the channel. The page's Content-Security-Policy is the second
// line. Without that stage this line would be a hole. Ids do no harm in themselves, but this page has its own.
function write(element, comment) {
  element.innerHTML = comment.message ?? '';
  for (const named of element.querySelectorAll('[id]')) named.removeAttribute('id');
  remark(element);
}

// remark says below a comment's text why there is nothing to see.
function remark(element) {
  const pictures = element.querySelectorAll('img');
  const seen = element.textContent.trim() || [...pictures].some((p) => !p.classList.contains('broken'));
  const why = pictures.length ? '(only a picture, which does not load)' : '(no text, or none that sanitize lets through)';
  element.nextElementSibling.textContent = seen ? '' : why;
}

function initials(name) {
  const words = name.match(/[\p{L}\p{N}]+/gu) ?? ['?'];
  const first = (word) => [...word][0].toUpperCase();
  return words.length > 1 ? first(words[0]) + first(words.at(-1)) : first(words[0]);
}

// hue gives the same colour to the same author: the pseudonym is all that it needs.
function hue(id) {
  let hash = 0;
  for (const c of id) hash = (hash * 31 + c.codePointAt(0)) | 0;
  return Math.abs(hash) % 360;
}
