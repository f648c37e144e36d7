// jwe.js: opens what the stage encrypt has closed, with the key that the demo hands out.

let key;

async function demoKey() {
  const response = await fetch('/demo-key');
  if (!response.ok) throw new Error('The demo does not hand out its key.');
  const { hex } = await response.json();
  const raw = Uint8Array.from(hex.match(/../g), (byte) => parseInt(byte, 16));
  return crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['decrypt']);
}

function bytes(base64url) {
  return Uint8Array.from(atob(base64url.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
}

// open decrypts a JWE in compact serialization: alg dir, enc A256GCM (RFC 7516, RFC 7518).
export async function open(jwe) {
  if (!crypto.subtle) throw new Error('A browser decrypts only on https:// and on localhost.');
  const [header, , iv, text, tag] = jwe.split('.');
  key ??= demoKey().catch((error) => {
    key = undefined; // the next one asks again
    throw error;
  });
  const sealed = new Uint8Array([...bytes(text), ...bytes(tag)]);
  const options = { name: 'AES-GCM', iv: bytes(iv), additionalData: new TextEncoder().encode(header) };
  const plain = await crypto.subtle.decrypt(options, await key, sealed);
  return { header: JSON.parse(new TextDecoder().decode(bytes(header))), body: new TextDecoder().decode(plain) };
}
