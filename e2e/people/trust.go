package people

import (
	"context"
	"time"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Signs makes a cross-signing identity for the account, signs the person's device
// with it and returns the recovery key.
func (p *Person) Signs() string {
	p.town.stage.Helper()
	key, _, err := p.olm.GenerateAndUploadCrossSigningKeysWithPassword(p.ctx(), Password, "")
	if err == nil {
		err = p.olm.SignOwnDevice(p.ctx(), p.olm.OwnIdentity())
	}
	if err == nil {
		err = p.olm.SignOwnMasterKey(p.ctx())
	}
	if err != nil {
		p.fail("sign the device: %v", err)
	}
	return key
}

// IsRefused waits until the sender of an event has told that the person does not get
// its key, and returns the code of why not.
func (p *Person) IsRefused(e id.EventID) event.RoomKeyWithheldCode {
	p.town.stage.Helper()
	ctx, cancel := context.WithTimeout(p.ctx(), time.Minute)
	defer cancel()
	var code event.RoomKeyWithheldCode
	err := p.news.await(ctx, func() (ok bool) { code, ok = p.refused[p.sessions[e]]; return ok })
	if err != nil {
		p.fail("be refused the key of %s: %v", e, err)
	}
	return code
}

// seal notes which room key an event wants.
func (p *Person) seal(_ context.Context, evt *event.Event) {
	p.news.tell(func() { p.sessions[evt.ID] = evt.Content.AsEncrypted().SessionID })
}

// refuse notes a room key that its owner withholds.
func (p *Person) refuse(_ context.Context, evt *event.Event) {
	content := evt.Content.AsRoomKeyWithheld()
	p.news.tell(func() { p.refused[content.SessionID] = content.Code })
}

// Reads fetches an event of the past and returns its body, and an error if the
// person has no key for it.
func (p *Person) Reads(room id.RoomID, e id.EventID) (string, error) {
	p.town.stage.Helper()
	evt, err := p.client.GetEvent(p.ctx(), room, e)
	if err != nil {
		p.fail("fetch %s: %v", e, err)
	}
	if err := evt.Content.ParseRaw(evt.Type); err != nil {
		p.fail("parse %s: %v", e, err)
	}
	if evt.Type == event.EventEncrypted {
		if evt, err = p.olm.DecryptMegolmEvent(p.ctx(), evt); err != nil {
			return "", err
		}
	}
	return evt.Content.AsMessage().Body, nil
}

// ExportsKeys writes all room keys as a key file.
func (p *Person) ExportsKeys(passphrase string) []byte {
	p.town.stage.Helper()
	file, err := crypto.ExportKeysIter(passphrase, p.olm.CryptoStore.GetAllGroupSessions(p.ctx()))
	if err != nil {
		p.fail("export keys: %v", err)
	}
	return file
}

// ImportsKeys reads a key file and returns how many of its keys the person took.
func (p *Person) ImportsKeys(file []byte, passphrase string) int {
	p.town.stage.Helper()
	imported, _, err := p.olm.ImportKeys(p.ctx(), passphrase, file)
	if err != nil {
		p.fail("import keys: %v", err)
	}
	return imported
}
