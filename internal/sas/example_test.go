package sas_test

import (
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/sas"
)

// homeserver hands over at once what is sent: to devices as it is, into rooms with an id.
type homeserver struct {
	books  map[id.DeviceID]*sas.Book
	keys   map[id.DeviceID]sas.Keys
	events int
}

// send is all that a caller does with a Message, and receive with an event.
func (h *homeserver) send(from sas.Party, v *sas.Verification, messages []sas.Message) {
	for _, m := range messages {
		h.events++
		e := sas.Event{Type: m.Type, Sender: from.User, Room: m.Room, Sent: time.Now(), Content: m.Content}
		if m.Room != "" {
			e.ID = id.EventID(fmt.Sprintf("$%d", h.events))
		}
		if m.Type == "m.room.message" {
			_ = v.Opened(e.ID)
		}
		for device, book := range h.books {
			if device != from.Device {
				h.receive(device, book, e)
			}
		}
	}
}

func (h *homeserver) receive(device id.DeviceID, book *sas.Book, e sas.Event) {
	self := sas.Party{User: "@" + id.UserID(device) + ":example.org", Device: device}
	v, messages, err := book.Receive(e, time.Now())
	if err != nil {
		return // not for us
	}
	h.send(self, v, messages)
	if v != nil && v.NeedsKeys() {
		messages, err := v.Supply(h.keys[v.Them().Device])
		if err != nil {
			messages = v.Cancel(sas.CodeKeyMismatch)
		}
		h.send(self, v, messages)
	}
}

// Two people verify each other, in a room and then by to-device messages.
func ExampleBook() {
	ann := sas.Party{User: "@ANN:example.org", Device: "ANN", Keys: sas.Keys{Device: key(1), Master: key(2)}}
	ben := sas.Party{User: "@BEN:example.org", Device: "BEN", Keys: sas.Keys{Device: key(3), Master: key(4)}}
	h := &homeserver{books: map[id.DeviceID]*sas.Book{}, keys: map[id.DeviceID]sas.Keys{"ANN": ann.Keys, "BEN": ben.Keys}}
	for _, own := range []sas.Party{ann, ben} {
		h.books[own.Device], _ = sas.NewBook(sas.Config{Own: own})
	}
	ask := map[string]func() (*sas.Verification, []sas.Message, error){
		"in a room": func() (*sas.Verification, []sas.Message, error) {
			return h.books["ANN"].RequestInRoom(ben.User, "!dm:example.org", time.Now())
		},
		"to devices": func() (*sas.Verification, []sas.Message, error) {
			return h.books["ANN"].Request(ben.User, []id.DeviceID{"BEN"}, time.Now())
		},
	}
	for _, transport := range []string{"in a room", "to devices"} {
		a, messages, _ := ask[transport]()
		h.send(ann, a, messages)
		b := h.books["BEN"].UnderWay()[0]
		fmt.Printf("%s: Ann is %s, Ben is %s\n", transport, a.State(), b.State())

		messages, _ = b.Accept()
		h.send(ben, b, messages)
		messages, _ = a.Start()
		h.send(ann, a, messages)
		hers, _ := a.Emoji()
		his, _ := b.Emoji()
		fmt.Printf("both are %s, and see the same: %v\n", a.State(), hers == his)

		messages, _ = b.Confirm()
		h.send(ben, b, messages)
		messages, _ = a.Confirm()
		h.send(ann, a, messages)
		them, ok := a.Outcome()
		fmt.Printf("Ann is %s and may sign the keys of %s: %v\n", a.State(), them.User, ok && them.Keys == ben.Keys)
	}
	// Output:
	// in a room: Ann is asking, Ben is asked
	// both are comparing, and see the same: true
	// Ann is done and may sign the keys of @BEN:example.org: true
	// to devices: Ann is asking, Ben is asked
	// both are comparing, and see the same: true
	// Ann is done and may sign the keys of @BEN:example.org: true
}
