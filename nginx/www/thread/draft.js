// draft.js: what somebody writes, until the application has it.

// Draft gives a comment a key, by which the application knows it again: what is sent once more, since its answer got lost, is no second comment.
export class Draft {
  #text;
  #key;

  keyed(comment) {
    const text = JSON.stringify(comment);
    if (text !== this.#text) {
      this.#text = text;
      this.#key = crypto.getRandomValues(new Uint32Array(4)).join('-'); // randomUUID is there by https only
    }
    return { ...comment, key: this.#key };
  }

  // done tells that the application has it. The same text is another comment then.
  done() { this.#text = undefined; }
}
