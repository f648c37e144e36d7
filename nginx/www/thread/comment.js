// comment.js: how one comment looks.
import { h } from '../dom.js';

// fill inserts a comment's text as HTML. It may: the stage sanitize, and the application for what it answers, have left nothing
// in it that runs. The Content-Security-Policy of index.html is the second line. Ids do no harm in themselves, but the page
// has its own.
export function fill(element, html) {
  element.innerHTML = html ?? '';
  for (const named of element.querySelectorAll('[id]')) named.removeAttribute('id');
  for (const picture of element.querySelectorAll('img')) {
    picture.addEventListener('error', () => {
      picture.classList.add('broken');
      remark(element);
    });
  }
  remark(element);
}

// remark says below a comment's text why there is nothing to see.
function remark(element) {
  const pictures = element.querySelectorAll('img');
  const seen = element.textContent.trim() || [...pictures].some((p) => !p.classList.contains('broken'));
  const why = pictures.length ? '(only a picture, which does not load)' : '(no text, or none that sanitize lets through)';
  element.nextElementSibling.textContent = seen ? '' : why;
}

export const nameOf = (author) => author?.name || author?.username || 'anonymous';

// avatar returns a picture for an author: initials, on the same colour for the same name.
export function avatar(name) {
  const picture = h('span', { class: 'avatar', 'aria-hidden': true }, initials(name));
  picture.style.setProperty('--hue', hue(name));
  return picture;
}

function initials(name) {
  const words = name.match(/[\p{L}\p{N}]+/gu) ?? ['?'];
  const first = (word) => [...word][0].toUpperCase();
  return words.length > 1 ? first(words[0]) + first(words.at(-1)) : first(words[0]);
}

function hue(name) {
  let hash = 0;
  for (const c of name) hash = (hash * 31 + c.codePointAt(0)) | 0;
  return Math.abs(hash) % 360;
}
