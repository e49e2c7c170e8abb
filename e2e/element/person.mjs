// A person: one account, one device, a client that keeps syncing.
import {
  ClientEvent,
  createClient,
  KnownMembership,
  MatrixEventEvent,
  RoomEvent,
  SyncState,
} from "matrix-js-sdk";

import { Trust } from "./trust.mjs";
import { Verifications } from "./verification.mjs";
import { until } from "./wait.mjs";

export class Person {
  #tell;
  #client;
  #trust;
  #memberships = new Map(); // ours, by room, as of the last sync that was taken in wholly

  // tell(event, facts) reports what happens.
  constructor(tell) {
    this.#tell = tell;
  }

  actions = {
    login: (o) => this.#login(o),
    join: ({ room }) => this.#join(room),
    invite: ({ room, user }) => this.#client.invite(room, user),
    room: ({ room }) => this.#joined(room).then(async () => ({ encrypted: await this.#encrypted(room) })),
    scroll: ({ room, events }) => this.#scroll(room, events),
    send: (o) => this.#send(o),
    redact: ({ room, event }) => this.#client.redactEvent(room, event).then((r) => ({ event: r.event_id })),
    sees: ({ room, user }) => this.#sees(room, user),
  };

  // login makes a device and starts to sync.
  async #login({ homeserver, user, password, name }) {
    const entrance = createClient({ baseUrl: homeserver });
    const session = await entrance.loginRequest({
      type: "m.login.password",
      identifier: { type: "m.id.user", user },
      password,
      initial_device_display_name: name,
    });
    this.#trust = new Trust({ user: session.user_id, password });
    this.#client = createClient({
      baseUrl: homeserver,
      userId: session.user_id,
      deviceId: session.device_id,
      accessToken: session.access_token,
      cryptoCallbacks: this.#trust.callbacks,
      verificationMethods: ["m.sas.v1"],
    });
    await this.#client.initRustCrypto({ useIndexedDB: false });
    this.#trust.client = this.#client;
    const verifications = new Verifications(this.#client, this.#tell);
    Object.assign(this.actions, this.#trust.actions, verifications.actions);

    this.#client.on(RoomEvent.Timeline, (event) => void this.#heed(event));
    this.#client.on(MatrixEventEvent.Decrypted, (event) => this.#hear(event));
    this.#client.on(ClientEvent.Sync, () => this.#settle());
    await this.#client.startClient({ initialSyncLimit: 20, lazyLoadMembers: true, threadSupport: true });
    await this.#until(ClientEvent.Sync, () => this.#client.getSyncState() === SyncState.Syncing, "the first sync");
    return {
      user: session.user_id,
      device: session.device_id,
      token: session.access_token,
      crypto: this.#client.getCrypto().getVersion(),
    };
  }

  // settle notes where the person is: in the middle of a sync a room may be there, and
  // its state not yet.
  #settle() {
    for (const room of this.#client.getRooms()) this.#memberships.set(room.roomId, room.getMyMembership());
  }

  stop() {
    this.#client?.stopClient();
  }

  // heed looks at what has appeared in a room's timeline.
  async #heed(event) {
    if (event.status !== null && event.isSending()) return; // our own, not sent yet
    await this.#client.decryptEventIfNeeded(event);
    this.#hear(event);
  }

  // hear reports a readable event as heard, another one as dark.
  #hear(event) {
    if (!event.getId()?.startsWith("$") || event.isBeingDecrypted()) return;
    const facts = {
      id: event.getId(),
      room: event.getRoomId(),
      sender: event.getSender(),
      type: event.getType(),
    };
    if (event.isDecryptionFailure()) {
      this.#tell("dark", { ...facts, code: event.decryptionFailureReason });
    } else if (event.getType() !== "m.room.encrypted") {
      this.#tell("heard", { ...facts, content: event.getContent(), encrypted: event.isEncrypted() });
    }
  }

  async #send({ room, type, content }) {
    await this.#joined(room);
    const encrypted = await this.#encrypted(room);
    const sent = await this.#client.sendEvent(room, type, content);
    return { event: sent.event_id, encrypted };
  }

  // encrypted asks the server until the client knows: a sync may have come while the
  // room was being created, before its encryption was set. What is said then would go
  // out in the clear.
  async #encrypted(room) {
    const known = () => this.#client.getCrypto().isEncryptionEnabledInRoom(room);
    if (await known()) return true;
    try {
      await this.#client.getStateEvent(room, "m.room.encryption", "");
    } catch (err) {
      if (err?.errcode === "M_NOT_FOUND") return false;
      throw err;
    }
    await this.#until(ClientEvent.Sync, known, `the encryption of ${room}`);
    return true;
  }

  // scroll loads older messages of a room, which are then heard.
  async #scroll(room, events) {
    await this.#client.scrollback(await this.#joined(room), events);
  }

  // sees waits until a room's member has joined, as far as this client knows.
  async #sees(room, user) {
    const joined = () => this.#client.getRoom(room)?.getMember(user)?.membership === KnownMembership.Join;
    await this.#until(ClientEvent.Sync, joined, `${user} joins ${room}`);
  }

  // join waits for the invite first: who gave it decides whose keys are taken.
  async #join(room) {
    const invited = () => [KnownMembership.Invite, KnownMembership.Join].includes(this.#memberships.get(room));
    await this.#until(ClientEvent.Sync, invited, `an invite to ${room}`);
    await this.#client.joinRoom(room);
    await this.#joined(room);
  }

  // joined waits until the client knows that it is in a room, and what the room is.
  async #joined(room) {
    const known = () => this.#memberships.get(room) === KnownMembership.Join;
    await this.#until(ClientEvent.Sync, known, `being in ${room}`);
    return this.#client.getRoom(room);
  }

  #until(event, holds, what) {
    return until(this.#client, [event], holds, what);
  }
}
