// Whom a person trusts, and what makes others trust the person.
import {
  AllDevicesIsolationMode,
  CryptoEvent,
  decodeRecoveryKey,
  OnlySignedDevicesIsolationMode,
} from "matrix-js-sdk/lib/crypto-api/index.js";
import { ClientEvent } from "matrix-js-sdk";
import { requestKeyBackupVersion, RustBackupManager } from "matrix-js-sdk/lib/rust-crypto/backup.js";

import { openKeyFile, sealKeyFile } from "./keyfile.mjs";
import { until } from "./wait.mjs";

// Clients wait some seconds before they back a new key up, lest all of a room do it
// at once. Here is one.
RustBackupManager.maxBackupLoopStartDelayMillis = 0;

export class Trust {
  client; // set once there is one
  #account;
  #secretStorageKey; // private part

  constructor(account) {
    this.#account = account;
  }

  // What the SDK asks for when it opens secret storage.
  callbacks = {
    getSecretStorageKey: async ({ keys }) => {
      const id = Object.keys(keys)[0];
      return this.#secretStorageKey ? [id, this.#secretStorageKey] : null;
    },
    cacheSecretStorageKey: (_id, _info, key) => {
      this.#secretStorageKey = key;
    },
  };

  actions = {
    isolate: ({ mode }) => this.#isolate(mode),
    "have-identity": () => this.#haveIdentity(),
    "reset-identity": () => this.#createIdentity(),
    "set-up-recovery": () => this.#setUpRecovery(),
    recover: ({ key }) => this.#recover(key),
    "back-up": () => this.#backUp(),
    discard: ({ room }) => this.#crypto.forceDiscardSession(room),
    user: ({ user }) => this.#user(user),
    device: ({ user, device }) => this.#device(user, device),
    "sees-signed": ({ user, device }) => this.#seesSigned(user, device),
    "sees-user": ({ user, as }) => this.#seesUser(user, as),
    "approve-identity": ({ user }) => this.#crypto.withdrawVerificationRequirement(user),
    "export-keys": ({ passphrase }) => this.#export(passphrase),
    "import-keys": ({ file, passphrase }) => this.#import(file, passphrase),
  };

  get #crypto() {
    return this.client.getCrypto();
  }

  // isolate chooses who gets room keys, as the settings of Element do.
  #isolate(mode) {
    switch (mode) {
      case "all devices":
      case "only trusted":
        this.#crypto.setDeviceIsolationMode(new AllDevicesIsolationMode(false));
        break;
      case "only signed":
        this.#crypto.setDeviceIsolationMode(new OnlySignedDevicesIsolationMode());
        break;
      default:
        throw new Error(`no isolation mode is named ${mode}`);
    }
    // "Never send encrypted messages to unverified sessions": the SDK then asks the
    // Rust crypto for its strategy OnlyTrustedDevices.
    this.#crypto.globalBlacklistUnverifiedDevices = mode === "only trusted";
  }

  // haveIdentity creates an identity where the account has none; it asks the server.
  async #haveIdentity() {
    if (!(await this.#crypto.userHasCrossSigningKeys())) await this.#createIdentity();
  }

  // createIdentity makes the three cross-signing keys and signs this device.
  async #createIdentity() {
    await this.#crypto.bootstrapCrossSigning({
      setupNewCrossSigning: true,
      authUploadDeviceSigningKeys: (upload) => this.#authenticated(upload),
    });
  }

  // authenticated makes a request, with the password where the server asks for it
  // (C-S API, "User-Interactive Authentication API").
  async #authenticated(request) {
    try {
      return await request(null);
    } catch (err) {
      if (err?.httpStatus !== 401 || !err.data?.flows) throw err;
      return request({
        type: "m.login.password",
        identifier: { type: "m.id.user", user: this.#account.user },
        password: this.#account.password,
        session: err.data.session,
      });
    }
  }

  // setUpRecovery opens secret storage and a key backup, and returns the recovery key.
  async #setUpRecovery() {
    const key = await this.#crypto.createRecoveryKeyFromPassphrase();
    await this.#crypto.bootstrapSecretStorage({
      createSecretStorageKey: async () => key,
      setupNewSecretStorage: true,
      setupNewKeyBackup: true,
    });
    return { key: key.encodedPrivateKey };
  }

  // recover signs this device with a recovery key and fetches the backed up keys. Some
  // of them come by themselves as soon as the backup is open, so it is told how many
  // there are in all.
  async #recover(key) {
    this.#secretStorageKey = decodeRecoveryKey(key);
    await this.#crypto.bootstrapCrossSigning({});
    if (await requestKeyBackupVersion(this.client.http)) {
      await this.#crypto.loadSessionBackupPrivateKeyFromSecretStorage();
      await this.#crypto.checkKeyBackupAndEnable();
      await this.#crypto.restoreKeyBackup();
    }
    return { keys: await this.#count() };
  }

  async #count() {
    return (await this.#crypto.exportRoomKeys()).length;
  }

  // backUp waits until no room key is left that the backup lacks.
  async #backUp() {
    const all = async () => (await requestKeyBackupVersion(this.client.http))?.count >= (await this.#count());
    await until(this.client, [CryptoEvent.KeyBackupSessionsRemaining], all, "the backup of all room keys");
  }

  async #user(user) {
    const s = await this.#crypto.getUserVerificationStatus(user);
    const lost = s.wasCrossSigningVerified() && !s.isVerified();
    return { known: s.known, verified: s.isVerified(), changed: s.needsUserApproval || lost };
  }

  async #device(user, device) {
    const s = await this.#crypto.getDeviceVerificationStatus(user, device);
    return { known: s !== null, signed: s?.signedByOwner ?? false, verified: s?.isVerified() ?? false };
  }

  // seesSigned waits until this client knows a device, or any device, as signed by
  // its owner.
  async #seesSigned(user, device) {
    const signed = async () => {
      const devices = (await this.#crypto.getUserDeviceInfo([user])).get(user) ?? new Map();
      for (const d of device ? [device] : devices.keys()) {
        if ((await this.#device(user, d)).signed) return true;
      }
      return false;
    };
    await until(this.client, this.#news, signed, `a signed device of ${user}`);
  }

  // seesUser waits until this client holds a user for verified, or for changed.
  async #seesUser(user, as) {
    await until(this.client, this.#news, async () => (await this.#user(user))[as], `${user} to be ${as}`);
  }

  #news = [ClientEvent.Sync, CryptoEvent.DevicesUpdated, CryptoEvent.UserTrustStatusChanged];

  async #export(passphrase) {
    return { file: sealKeyFile(await this.#crypto.exportRoomKeysAsJson(), passphrase) };
  }

  // import answers how many of the file's keys are new here: the SDK's own count is
  // that of a progress bar, which stops one before the end.
  async #import(file, passphrase) {
    const before = await this.#count();
    await this.#crypto.importRoomKeysAsJson(openKeyFile(file, passphrase));
    return { imported: (await this.#count()) - before };
  }
}
