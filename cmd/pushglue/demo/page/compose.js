// compose.js: the form by which a visitor posts. It tries attacks, and measures the way back to the page, which the form of nginx/www/thread/ does not.
import { $, duration } from './dom.js';
import { Draft } from './thread/draft.js';

const attack = `<b>Look at this!</b> <img src=x onerror="alert('pwned')"><script>alert('pwned')</script>
<a href="javascript:alert('pwned')">a harmless link</a> <svg/onload=alert(1)> <i>and some italics</i>`;

const patience = 10_000; // ms that a post may take

// Composer posts to the thread that it is told. posted is called with the answer's id and the text.
export class Composer {
  #posted = new Map(); // id -> when it was posted
  #arrived = new Map(); // id -> when it arrived, of the last ones
  #posting = false;
  #draft = new Draft();

  constructor(posted) {
    this.posted = posted;
    this.thread = '1';
    const { author, message } = { author: $('author'), message: $('message') };
    author.value = remembered() ?? `Guest ${100 + Math.floor(Math.random() * 900)}`;
    author.addEventListener('change', () => remember(author.value));
    $('attack').addEventListener('click', () => {
      message.value = attack;
      message.focus();
      this.#say('Post it, and see what the stage sanitize leaves of it.');
    });
    message.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) $('composer').requestSubmit();
    });
    $('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#post(author.value, message);
    });
  }

  // #post posts what stands in the field, once. What is typed until the answer comes stays there.
  async #post(author, field) {
    if (this.#posting) return;
    this.#posting = true;
    const start = performance.now();
    const message = field.value;
    const { id, why } = await put(this.thread, this.#draft.keyed({ author, message }));
    this.#posting = false;
    if (!id) {
      this.#say(why, true);
      return;
    }
    this.#draft.done();
    if (field.value === message) field.value = '';
    this.posted(id, message);
    this.#posted.set(id, start);
    this.#tell(id);
  }

  // arrived is told of every message. One may come before the answer to its post.
  arrived(id) {
    this.#arrived.set(id, performance.now());
    if (this.#arrived.size > 1000) this.#arrived.delete(this.#arrived.keys().next().value);
    this.#tell(id);
  }

  #tell(id) {
    const [start, end] = [this.#posted.get(id), this.#arrived.get(id)];
    if (start === undefined || end === undefined) return;
    this.#posted.delete(id);
    const took = duration(Math.round((end - start) * 1000));
    this.#say(`It went through the feed, the stages and the push host, and was back here after ${took}.`);
  }

  #say(text, wrong = false) {
    const line = $('posted');
    line.textContent = text;
    line.classList.toggle('wrong', wrong);
  }
}

// put returns the id of a comment's message, or why there is none.
async function put(thread, comment) {
  try {
    const response = await fetch(`/api/threads/${thread}/comments`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(comment),
      signal: AbortSignal.timeout(patience),
    });
    return response.ok ? await response.json() : { why: await response.text() };
  } catch {
    return { why: 'The demo does not answer. Perhaps it has ended; your comment is still here.' };
  }
}

// A browser may forbid a page to store anything.
function remembered() {
  try { return sessionStorage.getItem('author'); } catch { return null; }
}

function remember(author) {
  try { sessionStorage.setItem('author', author); } catch { /* then the next page asks again */ }
}
