// Verification by emoji, one step a request, so that a story decides on each.
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
  #client;
  #tell;
  #known = new Map(); // by transaction: { request, emoji, shown }

  constructor(client, tell) {
    this.#client = client;
    this.#tell = tell;
    client.on(CryptoEvent.VerificationRequestReceived, (request) => this.#follow(request));
  }

  actions = {
    "verify-in-room": async ({ user, room }) => this.#follow(await this.#crypto.requestVerificationDM(user, room)),
    "verify-device": async ({ user, device }) => this.#follow(await this.#crypto.requestDeviceVerification(user, device)),
    "verify-own-user": async () => this.#follow(await this.#crypto.requestOwnUserVerification()),
    accept: ({ transaction }) => this.#one(transaction).request.accept(),
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
