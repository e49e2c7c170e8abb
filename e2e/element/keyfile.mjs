// The file that Element exports room keys to (C-S API, "Key export format"): the SDK
// makes the JSON inside, Element itself the envelope.
import { createCipheriv, createDecipheriv, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from "node:crypto";

const first = "-----BEGIN MEGOLM SESSION DATA-----";
const last = "-----END MEGOLM SESSION DATA-----";
const version = 1;
const header = 1 + 16 + 16 + 4; // version, salt, counter, rounds
const tag = 32;

// Element takes half a million rounds; the number is part of the file, and a test
// need not wait for them.
const rounds = 10_000;

// derive makes the keys of the cipher and of the authentication code.
function derive(passphrase, salt, iterations) {
  const keys = pbkdf2Sync(passphrase, salt, iterations, 64, "sha512");
  return [keys.subarray(0, 32), keys.subarray(32)];
}

export function sealKeyFile(json, passphrase) {
  const salt = randomBytes(16);
  const counter = randomBytes(16);
  counter[8] &= 0x7f; // bit 63 is zero, for ciphers that count in 64 bits only
  const [secret, mac] = derive(passphrase, salt, rounds);
  const head = Buffer.alloc(header);
  head[0] = version;
  salt.copy(head, 1);
  counter.copy(head, 17);
  head.writeUInt32BE(rounds, 33);
  const cipher = createCipheriv("aes-256-ctr", secret, counter);
  const body = Buffer.concat([head, cipher.update(json, "utf8"), cipher.final()]);
  const sealed = Buffer.concat([body, createHmac("sha256", mac).update(body).digest()]);
  return [first, ...sealed.toString("base64").match(/.{1,128}/g), last, ""].join("\n");
}

export function openKeyFile(file, passphrase) {
  const lines = file.split(/\r?\n/);
  const from = lines.indexOf(first);
  const to = lines.indexOf(last);
  if (from < 0 || to < from) throw new Error("this is no file of room keys");
  const sealed = Buffer.from(lines.slice(from + 1, to).join(""), "base64");
  if (sealed.length < header + tag || sealed[0] !== version) throw new Error("the file of room keys is cut short or of another version");
  const body = sealed.subarray(0, -tag);
  const [secret, mac] = derive(passphrase, body.subarray(1, 17), body.readUInt32BE(33));
  if (!timingSafeEqual(createHmac("sha256", mac).update(body).digest(), sealed.subarray(-tag))) {
    throw new Error("the passphrase is wrong, or the file of room keys is damaged");
  }
  const decipher = createDecipheriv("aes-256-ctr", secret, body.subarray(17, 33));
  return Buffer.concat([decipher.update(body.subarray(header)), decipher.final()]).toString("utf8");
}
