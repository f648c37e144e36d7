// rates.js: what two snapshots of the daemon say together.

// Rates tells how fast counters grow. A counter is found in a snapshot by a function.
export class Rates {
  #before;
  #now;

  // take takes the next snapshot. One of another start of the daemon has other counters.
  take(status) {
    this.#before = this.#now?.started === status.started ? this.#now : undefined;
    this.#now = status;
  }

  // of returns what a counter has grown by in a second, or undefined as long as nobody knows.
  of(counter) {
    if (!this.#before) return undefined;
    const seconds = (Date.parse(this.#now.at) - Date.parse(this.#before.at)) / 1000;
    const [from, to] = [counter(this.#before), counter(this.#now)];
    if (from === undefined || to === undefined || seconds <= 0) return undefined;
    return Math.max(0, to - from) / seconds;
  }
}

// count writes a number of things.
export const count = (n) => n.toLocaleString('en');

// seconds writes a time.
export function seconds(s) {
  if (s < 0.001) return s ? '<1 ms' : '0';
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return s < 172_800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86_400)} d`;
}
