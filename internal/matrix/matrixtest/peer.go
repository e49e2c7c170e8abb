package matrixtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/attachment"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Peer is a person with a mautrix client and a real device: what it says in an
// encrypted room is encrypted by goolm. It does not /sync; it asks the server for
// members and keys when it speaks. One goroutine may use it at a time.
type Peer struct {
	User   id.UserID
	Client *mautrix.Client
	// Machine is the device's crypto machine, for what Peer has no method for.
	Machine *crypto.OlmMachine
	Store   *crypto.MemoryStore

	server *Server
	states mautrix.StateStore
}

// NewPeer logs a person in on a new device and uploads its keys. The account is
// made where it does not exist.
func (s *Server) NewPeer(ctx context.Context, localpart string) (*Peer, error) {
	user := s.Account(localpart, "peer password of "+localpart)
	token := s.Token(user, "")
	client, err := mautrix.NewClient(s.URL(), user, token)
	if err != nil {
		return nil, fmt.Errorf("new peer: %w", err)
	}
	who, err := client.Whoami(ctx)
	if err != nil {
		return nil, fmt.Errorf("new peer: %w", err)
	}
	client.DeviceID = who.DeviceID
	states := mautrix.NewMemoryStateStore()
	client.StateStore = states
	rooms, ok := states.(crypto.StateStore)
	if !ok {
		return nil, errors.New("new peer: mautrix's memory state store does not serve its crypto")
	}
	p := &Peer{User: user, Client: client, Store: crypto.NewMemoryStore(nil), server: s, states: states}
	p.Machine = crypto.NewOlmMachine(client, nil, p.Store, rooms)
	// People share with whoever is in the room; the tests that care about trust set
	// this themselves.
	p.Machine.SendKeysMinTrust = id.TrustStateUnset
	if err := p.Machine.Load(ctx); err != nil {
		return nil, fmt.Errorf("new peer: %w", err)
	}
	if err := p.Machine.ShareKeys(ctx, 0); err != nil {
		return nil, fmt.Errorf("new peer: share keys: %w", err)
	}
	return p, nil
}

// SignSelf gives the account a cross-signing identity and signs the device with
// it, so that others see the device as signed by its owner.
func (p *Peer) SignSelf(ctx context.Context) error {
	if _, err := p.Machine.GenerateAndVerifyWithRecoveryKey(ctx); err != nil {
		return fmt.Errorf("sign self: %w", err)
	}
	return nil
}

// Say sends an m.text message, encrypted where the room is.
func (p *Peer) Say(ctx context.Context, room id.RoomID, text string) (id.EventID, error) {
	return p.Send(ctx, room, event.EventMessage, Content{"msgtype": "m.text", "body": text})
}

// Send sends an event, encrypted where the room is. Before the first encrypted
// event, and after [Peer.Rotate], the room key goes to all devices of all joined
// members.
func (p *Peer) Send(ctx context.Context, room id.RoomID, typ event.Type, content any) (id.EventID, error) {
	encrypted, err := p.encryptedRoom(ctx, room)
	if err != nil {
		return "", err
	}
	if encrypted {
		cipher, err := p.Encrypt(ctx, room, typ, content)
		if err != nil {
			return "", err
		}
		typ, content = event.EventEncrypted, cipher
	}
	resp, err := p.Client.SendMessageEvent(ctx, room, typ, content, mautrix.ReqSendEvent{DontEncrypt: true})
	if err != nil {
		return "", fmt.Errorf("send %s: %w", typ.Type, err)
	}
	return resp.EventID, nil
}

// Encrypt shares the room key where that is due and encrypts an event, without
// sending it.
func (p *Peer) Encrypt(ctx context.Context, room id.RoomID, typ event.Type, content any) (*event.EncryptedEventContent, error) {
	if _, err := p.encryptedRoom(ctx, room); err != nil {
		return nil, err
	}
	cipher, err := p.Machine.EncryptMegolmEvent(ctx, room, typ, content)
	if crypto.IsShareError(err) {
		members, err := p.Client.JoinedMembers(ctx, room)
		if err != nil {
			return nil, fmt.Errorf("list members: %w", err)
		}
		users := make([]id.UserID, 0, len(members.Joined))
		for u := range members.Joined {
			users = append(users, u)
		}
		// Devices may have come since the last time; there is no /sync to say so.
		if _, err := p.Machine.FetchKeys(ctx, users, true); err != nil {
			return nil, fmt.Errorf("fetch keys: %w", err)
		}
		if err := p.Machine.ShareGroupSession(ctx, room, users); err != nil {
			return nil, fmt.Errorf("share room key: %w", err)
		}
		cipher, err = p.Machine.EncryptMegolmEvent(ctx, room, typ, content)
		if err != nil {
			return nil, fmt.Errorf("encrypt: %w", err)
		}
		return cipher, nil
	}
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return cipher, nil
}

// Rotate forgets the room key: the next event starts a new session.
func (p *Peer) Rotate(ctx context.Context, room id.RoomID) error {
	if err := p.Store.RemoveOutboundGroupSession(ctx, room); err != nil {
		return fmt.Errorf("rotate: %w", err)
	}
	return nil
}

// SendFile encrypts a file, uploads it and sends it as an m.file message. In an
// encrypted room the message is encrypted too.
func (p *Peer) SendFile(ctx context.Context, room id.RoomID, name, mediaType string, content []byte) (id.EventID, *event.EncryptedFileInfo, error) {
	info := &event.EncryptedFileInfo{EncryptedFile: *attachment.NewEncryptedFile()}
	cipher := bytes.Clone(content)
	info.EncryptInPlace(cipher)
	up, err := p.Client.UploadBytes(ctx, cipher, "application/octet-stream")
	if err != nil {
		return "", nil, fmt.Errorf("upload: %w", err)
	}
	info.URL = up.ContentURI.CUString()
	eid, err := p.Send(ctx, room, event.EventMessage, &event.MessageEventContent{
		MsgType: event.MsgFile, Body: name, File: info,
		Info: &event.FileInfo{MimeType: mediaType, Size: len(content)},
	})
	return eid, info, err
}

// encryptedRoom learns from the server whether a room is encrypted and how its
// history is visible.
func (p *Peer) encryptedRoom(ctx context.Context, room id.RoomID) (bool, error) {
	known, err := p.states.IsEncrypted(ctx, room)
	if err != nil || known {
		return known, err
	}
	var enc event.EncryptionEventContent
	err = p.Client.StateEvent(ctx, room, event.StateEncryption, "", &enc)
	if errors.Is(err, mautrix.MNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read encryption of room: %w", err)
	}
	if err := p.states.SetEncryptionEvent(ctx, room, &enc); err != nil {
		return false, fmt.Errorf("remember encryption of room: %w", err)
	}
	return true, nil
}
