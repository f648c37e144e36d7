// comments.js: the comments of a thread in a list, in which what somebody reads never jumps.
import { age, h, still } from '../dom.js';
import { avatar, fill, nameOf } from './comment.js';

const most = 400; // comments in the list
const mostGone = 2000; // that are remembered to be deleted

/**
 * Comments shows comments in an element. It tells by events of what a page may want to know:
 *
 *   added  {detail: [comment…]}     others have written these
 *   fresh  {detail: {n, above}}     so many of those were not in sight yet; whether the first of them is above
 *   reply  {detail: {post, name}}   somebody wants to answer
 */
export class Comments extends EventTarget {
  #list;
  #change;
  #shown = new Map(); // by post
  #gone = new Map(); // revisions of deleted ones, by post
  #mine = new Set(); // posts that were written here
  #fresh = new Set(); // articles that nobody has seen yet
  #sight;
  #time = 0; // counts what is applied

  // change has edit(post, text) and remove(post), which return why it did not work, or nothing.
  constructor(list, change) {
    super();
    this.#list = list;
    this.#change = change;
    this.#sight = new IntersectionObserver((entries) => this.#see(entries), { rootMargin: '-40px 0px -120px' });
    // Nobody has seen what came into sight of a hidden tab.
    document.addEventListener('visibilitychange', () => {
      for (const article of this.#fresh) {
        this.#sight.unobserve(article);
        this.#sight.observe(article);
      }
    });
    addEventListener('scroll', () => { if (this.#fresh.size) this.#tell(); }, { passive: true });
    setInterval(() => {
      for (const { clock, date } of this.#shown.values()) tick(clock, date);
    }, 20_000);
  }

  // size is how many comments there are, without deleted ones.
  get size() { return [...this.#shown.values()].filter(({ stub }) => !stub).length; }

  has(post) { return this.#shown.has(String(post)); }

  // mine tells that a comment was written here. It may be shown already.
  mine(post) {
    this.#mine.add(String(post));
    const shown = this.#shown.get(String(post));
    if (shown) {
      this.#own(shown);
      this.#seen(shown.article);
      reveal(shown.article);
    }
  }

  // apply shows what messages say: {type, data}. What is older than what is shown changes nothing.
  apply(messages) {
    const added = [];
    this.#steadily(() => {
      for (const { type, data } of messages) {
        if (type === 'post_delete') this.#remove(String(data.post), Number(data.revision) || Infinity);
        else if (type === 'post_save' && this.#save(data)) added.push(data);
      }
      this.#trim();
    });
    this.#welcome(added);
    for (const { post } of added) if (this.#mine.has(String(post))) reveal(this.#shown.get(String(post))?.article);
  }

  // snapshot takes the time for load, before the application is asked.
  snapshot() { return this.#time; }

  // load shows what the application answered: comments, all of the thread unless they are as many as it ever tells. What
  // was there at the time of the snapshot, and is not among them, has been deleted.
  load(comments, snapshot, whole) {
    const first = this.#shown.size === 0;
    const listed = new Set(comments.map(({ post }) => String(post)));
    const oldest = Math.min(...comments.map(dateOf));
    const added = [];
    this.#steadily(() => {
      for (const [post, shown] of this.#shown) {
        if (shown.time <= snapshot && !listed.has(post) && !shown.stub && (whole || shown.date > oldest)) this.#remove(post, Infinity);
      }
      for (const comment of comments) {
        if (comment.own) this.#mine.add(String(comment.post));
        if (this.#save(comment)) added.push(comment);
        else if (comment.own && this.has(comment.post)) this.#own(this.#shown.get(String(comment.post)));
      }
      this.#trim();
    });
    this.#welcome(first ? [] : added);
  }

  // showFresh goes to the first comment that nobody has seen yet.
  showFresh() {
    const first = this.#firstFresh();
    if (!first) return;
    first.focus({ preventScroll: true });
    first.scrollIntoView({ block: this.#fresh.size > 1 ? 'start' : 'center', behavior: still() ? 'auto' : 'smooth' });
  }

  // toEnd goes to the newest comment.
  toEnd() { scrollTo({ top: document.documentElement.scrollHeight, behavior: 'instant' }); }

  // #save shows a comment, and reports whether it is a new one.
  #save(comment) {
    const post = String(comment.post);
    const revision = Number(comment.revision) || 0;
    if ((this.#gone.get(post) ?? -1) >= revision) return false;
    const shown = this.#shown.get(post);
    if (!shown) {
      this.#add(post, revision, comment);
      return true;
    }
    if (shown.stub || shown.revision >= revision) return false;
    shown.revision = revision;
    shown.time = ++this.#time;
    if (shown.html === comment.message) return false;
    shown.html = comment.message;
    fill(shown.text, comment.message);
    shown.edited.hidden = false;
    shown.text.animate([{ backgroundColor: 'var(--mark)' }, {}], { duration: 2500, easing: 'ease-out' });
    return false;
  }

  #add(post, revision, comment) {
    const name = nameOf(comment.author);
    const date = dateOf(comment);
    const time = h('time', { datetime: new Date(date).toISOString(), title: new Date(date).toLocaleString() });
    tick(time, date);
    const text = h('div', { class: 'text', dir: 'auto' });
    const edited = h('span', { class: 'edited', hidden: revision < 2 }, 'edited');
    const actions = h('p', { class: 'actions' }, button('Reply', `Reply to ${name}`, () => {
      this.dispatchEvent(new CustomEvent('reply', { detail: { post: comment.post, name } }));
    }));
    const article = h('article', { tabindex: -1, 'aria-labelledby': `by${post}` },
      avatar(name),
      h('header', {}, h('b', { id: `by${post}`, dir: 'auto' }, name), h('a', { href: `#c${post}` }, time), edited),
      text, h('p', { class: 'remark' }), actions);
    fill(text, comment.message);
    const replies = h('ol', { class: 'replies', 'aria-label': `Replies to ${name}` });
    const item = h('li', { id: `c${post}`, 'data-post': post }, article, replies);
    item.date = date;
    const shown = { post, revision, time: ++this.#time, date, html: comment.message, item, article, clock: time, text, edited, actions, replies };
    this.#shown.set(post, shown);
    if (this.#mine.has(post)) this.#own(shown);
    this.#place(shown, comment);
  }

  // #place puts a comment behind its older siblings: below what it answers or, if that is not here, among the others.
  #place({ item, article }, { parent }) {
    const answered = parent === null || parent === undefined ? undefined : this.#shown.get(String(parent));
    if (!answered && parent) article.querySelector('header').append(h('span', { class: 'answers' }, 'answers an earlier comment'));
    const siblings = answered?.replies ?? this.#list;
    let next = null;
    for (let before = siblings.lastElementChild; before && before.date > item.date; before = before.previousElementSibling) next = before;
    siblings.insertBefore(item, next);
  }

  #own(shown) {
    if (shown.mine || shown.stub) return;
    shown.mine = true;
    shown.article.classList.add('own');
    shown.actions.append(
      button('Edit', 'Edit your comment', () => this.#edit(shown)),
      button('Delete', 'Delete your comment', () => this.#ask(shown)),
    );
  }

  // #remove takes a comment away. One that was answered stays as a stub.
  #remove(post, revision) {
    if ((this.#gone.get(post) ?? -1) >= revision) return;
    const shown = this.#shown.get(post);
    if (shown && !shown.stub && shown.revision >= revision) return;
    this.#gone.set(post, revision);
    if (this.#gone.size > mostGone) this.#gone.delete(this.#gone.keys().next().value);
    if (!shown) return;
    this.#seen(shown.article);
    if (shown.article.contains(document.activeElement)) focusNear(shown.item);
    if (shown.replies.childElementCount) {
      shown.stub = true;
      shown.article.classList.add('stub');
      shown.article.replaceChildren(h('p', { class: 'remark' }, 'This comment was deleted.'));
      return;
    }
    this.#drop(shown);
  }

  #drop(shown) {
    this.#shown.delete(shown.post);
    const above = shown.item.parentElement.closest('li');
    shown.item.remove();
    // The last answer to a deleted one leaves nothing of it.
    const answered = above && this.#shown.get(above.dataset.post);
    if (answered?.stub && !answered.replies.childElementCount) this.#drop(answered);
  }

  // #trim forgets the oldest comments of a long list, with their answers.
  #trim() {
    while (this.#shown.size > most && this.#list.childElementCount > 1) {
      const oldest = this.#list.firstElementChild;
      for (const item of [oldest, ...oldest.querySelectorAll('li')]) {
        const shown = this.#shown.get(item.dataset.post);
        if (!shown || shown.item !== item) continue;
        this.#seen(shown.article);
        this.#shown.delete(shown.post);
      }
      oldest.remove();
    }
  }

  // #edit puts a form in the place of the text.
  #edit(shown) {
    if (shown.form) return;
    const field = h('textarea', { required: true, maxlength: 2000, 'aria-label': 'Your comment' });
    field.value = sourceOf(shown.text);
    const problem = h('p', { class: 'problem', role: 'alert' });
    const close = () => {
      shown.form.remove();
      shown.form = undefined;
      shown.text.hidden = shown.actions.hidden = false;
      shown.actions.querySelector('button:nth-of-type(2)')?.focus();
    };
    shown.form = h('form', {
      class: 'editing',
      onkeydown: (event) => {
        if (event.key === 'Escape') close();
        if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) shown.form.requestSubmit();
      },
      onsubmit: async (event) => {
        event.preventDefault();
        const why = await this.#change.edit(shown.post, field.value);
        if (why) problem.textContent = why;
        else if (shown.form) close();
      },
    }, field, h('p', { class: 'actions' }, h('button', { type: 'submit' }, 'Save'), button('Cancel', undefined, close)), problem);
    shown.text.hidden = shown.actions.hidden = true;
    shown.text.after(shown.form);
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
  }

  // #ask asks whether a comment is to be deleted, in the place of its buttons.
  #ask(shown) {
    const buttons = [...shown.actions.childNodes];
    const keep = () => {
      shown.actions.replaceChildren(...buttons);
      buttons.at(-1).focus();
    };
    const sure = button('Delete', 'Delete your comment for good', async () => {
      const why = await this.#change.remove(shown.post);
      if (!why) return;
      keep();
      shown.actions.append(h('span', { class: 'problem', role: 'alert' }, why));
    });
    sure.classList.add('danger');
    const no = button('Keep', 'Keep your comment', keep);
    shown.actions.replaceChildren(h('span', { class: 'ask' }, 'Delete it for good?'), sure, no);
    shown.actions.onkeydown = (event) => { if (event.key === 'Escape') keep(); };
    no.focus();
  }

  // #steadily changes the list such that what is in sight stays where it is. Who is at its end stays there.
  #steadily(change) {
    const end = document.documentElement;
    const follows = !document.hidden && end.scrollHeight - innerHeight - scrollY < 60 && !this.#list.querySelector('.editing');
    const places = follows ? [] : this.#inSight().map((article) => ({ article, top: article.getBoundingClientRect().top }));
    change();
    if (follows) {
      scrollTo({ top: end.scrollHeight, behavior: 'instant' });
      return;
    }
    const still = places.find(({ article }) => article.isConnected);
    if (still) scrollBy({ top: still.article.getBoundingClientRect().top - still.top, behavior: 'instant' });
  }

  // #inSight returns the articles on the screen; the one with the focus first.
  #inSight() {
    const articles = [...this.#list.querySelectorAll('article')].filter((article) => {
      const { top, bottom } = article.getBoundingClientRect();
      return bottom > 60 && top < innerHeight;
    });
    const focused = articles.find((article) => article.contains(document.activeElement));
    return focused ? [focused, ...articles] : articles;
  }

  // #welcome tells of what others have written.
  #welcome(added) {
    const news = added.filter(({ post }) => !this.#mine.has(String(post)) && this.has(post));
    for (const { post } of news) {
      const { article } = this.#shown.get(String(post));
      article.classList.add('fresh');
      this.#fresh.add(article);
      this.#sight.observe(article);
    }
    if (news.length) this.dispatchEvent(new CustomEvent('added', { detail: news }));
    this.#tell();
  }

  #see(entries) {
    if (document.hidden) return;
    for (const { isIntersecting, target } of entries) if (isIntersecting) this.#seen(target);
    this.#tell();
  }

  #seen(article) {
    if (!this.#fresh.delete(article)) return;
    this.#sight.unobserve(article);
    article.classList.remove('fresh');
    article.animate([{ backgroundColor: 'var(--lit)' }, {}], { duration: still() ? 0 : 2500, easing: 'ease-out' });
  }

  #firstFresh() {
    return [...this.#fresh].sort((a, b) => (a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1))[0];
  }

  #tell() {
    const above = (this.#firstFresh()?.getBoundingClientRect().top ?? 0) < 0;
    this.dispatchEvent(new CustomEvent('fresh', { detail: { n: this.#fresh.size, above } }));
  }
}

const dateOf = ({ createdAt }) => Date.parse(createdAt) || Date.now();

function tick(time, date) {
  const text = age(date);
  if (time.textContent !== text) time.textContent = text;
}

function button(text, label, onclick) {
  return h('button', { type: 'button', class: 'quiet', 'aria-label': label, onclick }, text);
}

// sourceOf returns what somebody would have to write to get this text.
const sourceOf = (text) => (text.children.length || /[<&]/.test(text.textContent) ? text.innerHTML : text.textContent);

// focusNear moves the focus away from what goes: a keyboard user is where they were.
function focusNear(item) {
  const near = item.nextElementSibling ?? item.previousElementSibling ?? item.parentElement.closest('li');
  near?.querySelector('article').focus({ preventScroll: true });
}

function reveal(article) {
  article?.scrollIntoView({ block: 'nearest', behavior: still() ? 'auto' : 'smooth' });
}
