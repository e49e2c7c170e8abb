// Verification by emoji, one step a request, so that a story decides on each.
import { ClientEvent } from "matrix-js-sdk";
import { CryptoEvent, VerificationPhase, VerificationRequestEvent, VerifierEvent } from "matrix-js-sdk/lib/crypto-api/index.js";

const sas = "m.sas.v1";

const phases = {
  [VerificationPhase.Unsent]: "unsent",
  [VerificationPhase.Requested]: "requested",
  [VerificationPhase.Ready]: "ready",
  [VerificationPhase.Started]: "started",
  [VerificationPhase.Cancelled]: "cancelled",
  [VerificationPhase.Done]: "done",
};

export class Verifications {
  sealed = false;
  #client;
  #tell;
  #known = new Map(); // by transaction: { request, emoji, shown }

  constructor(client, tell) {
    this.#client = client;
    this.#tell = tell;
    client.on(CryptoEvent.VerificationRequestReceived, (request) => this.#follow(request));
    this.#intercept();
  }

  actions = {
    "verify-in-room": ({ user, room }) => this.#ask(user, () => this.#crypto.requestVerificationDM(user, room)),
    "verify-device": ({ user, device }) => this.#ask(user, () => this.#crypto.requestDeviceVerification(user, device)),
    "verify-own-user": () => this.#ask(this.#client.getUserId(), () => this.#crypto.requestOwnUserVerification()),
    "seal-verifications": () => void (this.sealed = true),
    accept: ({ transaction }) => this.#accept(this.#one(transaction).request),
    start: ({ transaction }) => this.#one(transaction).request.startVerification(sas).then(() => {}),
    confirm: ({ transaction }) => this.#shown(transaction).confirm(),
    mismatch: ({ transaction }) => this.#shown(transaction).mismatch(),
    cancel: ({ transaction }) => this.#one(transaction).request.cancel(),
  };

  get #crypto() {
    return this.#client.getCrypto();
  }

  #one(transaction) {
    const one = this.#known.get(transaction);
    if (!one) throw new Error(`no verification ${transaction}`);
    return one;
  }

  #shown(transaction) {
    const { shown } = this.#one(transaction);
    if (!shown) throw new Error(`verification ${transaction} shows no emoji yet`);
    return shown;
  }

  // ask begins a verification. One with the same user that is done must be forgotten
  // first, or the crypto cancels both; it forgets with the next sync.
  async #ask(user, begin) {
    const again = [...this.#known.values()].some(({ request }) => request.otherUserId === user);
    if (again) await this.#sync();
    return this.#follow(await begin());
  }

  // sync waits for a sync that begins now: one that brings what is sent here.
  async #sync() {
    const { promise, resolve } = Promise.withResolvers();
    const look = ({ message }) => message.type === "test.wake" && resolve();
    this.#client.on(ClientEvent.ReceivedToDeviceMessage, look);
    const self = new Map([[this.#client.getUserId(), new Map([[this.#client.getDeviceId(), {}]])]]);
    await this.#client.sendToDevice("test.wake", self);
    await promise;
    this.#client.off(ClientEvent.ReceivedToDeviceMessage, look);
  }

  async #accept(request) {
    if (this.sealed && request.roomId) {
      // What the crypto sends goes through one queue; the first encryption of a room
      // waits for that queue, and must not be in it.
      const crypto = this.#crypto;
      const encryptor = crypto.roomEncryptors[request.roomId];
      await encryptor?.prepareForEncryption(crypto.globalBlacklistUnverifiedDevices, crypto.deviceIsolationMode);
    }
    await request.accept();
  }

  // intercept encrypts what is verified in a room where the room is encrypted, if it
  // is to be sealed. The SDK sends it in the clear, other clients do not.
  #intercept() {
    const { http } = this.#client;
    const send = http.authedRequest.bind(http);
    const pattern = /\/rooms\/([^/]+)\/send\/(m\.key\.verification\.\w+|m\.room\.message)\//;
    http.authedRequest = async (method, path, query, body, options) => {
      const [, room, type] = (method === "PUT" && typeof body === "string" && path.match(pattern)) || [];
      if (!this.sealed || !type) return send(method, path, query, body, options);
      const content = JSON.parse(body);
      if (type === "m.room.message" && content.msgtype !== "m.key.verification.request") {
        return send(method, path, query, body, options);
      }
      const sent = await this.#client.sendEvent(decodeURIComponent(room), type, content);
      return options?.json === false ? JSON.stringify(sent) : sent;
    };
  }

  // follow reports a request whenever it changes.
  #follow(request) {
    const transaction = request.transactionId;
    if (!this.#known.has(transaction)) {
      const one = { request };
      this.#known.set(transaction, one);
      request.on(VerificationRequestEvent.Change, () => this.#look(one));
      this.#look(one);
    }
    return { transaction };
  }

  #look(one) {
    const { request } = one;
    const { verifier } = request;
    if (verifier && verifier !== one.verifier) {
      one.verifier = verifier;
      verifier.on(VerifierEvent.ShowSas, (shown) => {
        one.shown = shown;
        one.emoji = shown.sas.emoji?.map(([, name]) => name);
        this.#report(one);
      });
      // Takes part in what was started, by either side. Its end is the request's, which is reported.
      verifier.verify().catch((err) => console.error("verification:", err?.message ?? err));
    }
    this.#report(one);
  }

  #report({ request, emoji }) {
    this.#tell("verification", {
      transaction: request.transactionId,
      room: request.roomId,
      user: request.otherUserId,
      device: request.otherDeviceId,
      ours: request.initiatedByMe,
      phase: phases[request.phase],
      emoji,
      code: request.cancellationCode ?? undefined,
      by: request.cancellingUserId,
    });
  }
}
