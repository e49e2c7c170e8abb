package page_test

import (
	"context"
	"strings"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/status"
)

// shown is a source that always shows the same.
type shown struct{ snapshot status.Snapshot }

func (s shown) Snapshot(context.Context) (status.Snapshot, error) { return s.snapshot, nil }
func (s shown) Readiness() status.Readiness                       { return s.snapshot.Readiness }
func (s shown) Alive() error                                      { return nil }

var at = time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return at.Add(-d) }

// healthy is a connector at work.
func healthy() status.Snapshot {
	s := status.Snapshot{
		At: at,
		Connector: status.Connector{
			Name: "Matrix", ID: "7f2b7a4e-6d0b-4c52-9a55-0c1f6f6b2f11", Version: "1.0.0", Started: ago(12 * 24 * time.Hour),
			UserID: "@octi:example.org", DeviceID: "QHVXWZNSEO", Homeserver: "https://matrix.example.org",
			Sink: status.Sink{Kind: "platform", Address: "https://opencti.example.org", Version: "7.260318.0"},
		},
		Readiness: status.Readiness{Ready: true},
		Counts: status.Counts{
			Events:      map[string]int{"read": 48210, "undecrypted": 2, "skipped": 1304},
			Undecrypted: map[string]int{"withheld": 2},
			Posts:       map[string]int{"landed": 41877, "due": 3, "sent": 1},
			Rooms:       map[string]int{"landed": 6}, Authors: map[string]int{"landed": 83},
			Attachments: map[string]int{"attached": 912, "wanted": 1, "refused": 4, "lost": 1}, Gaps: 1,
		},
		Lag: status.Lag{LastSync: ago(2 * time.Second), Sync: new(2.0), Decryption: new(410.0), Delivery: new(0.8)},
		Rooms: []status.Room{
			room("!kYqBsEXXjHqpLrNvUt:example.org", "Incident 7: phishing wave", true, 1288, 3, 2, 40*time.Second),
			room("!dGhyZWF0aW50ZWxyb29t:example.org", "Threat intel sharing", true, 30514, 1, 0, 2*time.Minute),
			room("!cHVibGljYW5ub3Vu:cert.example", "CERT announcements", false, 6120, 0, 0, 26*time.Hour),
			room("!bWFsd2FyZXNhbXBs:example.org", "Malware samples", true, 3955, 0, 0, 3*time.Hour),
		},
		Disk: status.Disk{Database: 61 << 20, Spool: 3 << 20, SpoolMax: 2 << 30, Free: 17 << 30, Reserve: 512 << 20},
		Device: status.Device{
			Looked: ago(9 * time.Hour), Signed: true, Backup: "3",
			Withheld: []status.Withheld{{
				User: "@bob:example.org", Code: "m.unverified", Room: "!kYqBsEXXjHqpLrNvUt:example.org", Count: 3, Last: ago(25 * time.Minute),
				Cure: "@bob:example.org gives keys only to devices of people whose identity they have verified: verify each other by emoji (matrix-connector verify)",
			}},
		},
		Undecryptable: []status.Undecryptable{{
			Reason: "withheld", Cause: "m.unverified", Count: 2, Oldest: ago(31 * time.Minute), Newest: ago(25 * time.Minute),
			Says:  "the sender's client gives keys to verified devices only",
			Cure:  "the sender gives keys only to devices of people whose identity they have verified: verify each other by emoji (matrix-connector verify)",
			Rooms: []status.RoomCount{{ID: "!kYqBsEXXjHqpLrNvUt:example.org", Name: "Incident 7: phishing wave", Count: 2}},
		}},
		Troubles: []status.Trouble{
			trouble("event", "undecrypted", "withheld", 2, "!kYqBsEXXjHqpLrNvUt:example.org"),
			trouble("attachment", "refused", "too_large", 4, "!bWFsd2FyZXNhbXBs:example.org"),
			trouble("attachment", "lost", "not_found", 1, "!cHVibGljYW5ub3Vu:cert.example"),
		},
		Failures: []status.Failure{{
			Operation: "sync", Class: "temporary", Error: "sync: Get https://matrix.example.org/_matrix/client/v3/sync: connection refused",
			Count: 7, At: ago(5 * time.Hour),
		}},
		Invites: []status.Invite{{
			Room: "!c3RyYW5nZXI:elsewhere.example", Senders: []string{"@mallory:elsewhere.example"}, Received: ago(3 * time.Hour),
			Why: "the sender may not invite", Setting: "MATRIX_INVITE_FROM=*:example.org,@mallory:elsewhere.example",
		}},
	}
	s.Rooms[0].OldestDue, s.Rooms[1].Gaps = ago(time.Second), 1
	s.Health = status.Judge(s)
	return s
}

func room(id, name string, encrypted bool, landed, due, undecrypted int, last time.Duration) status.Room {
	return status.Room{
		ID: id, Name: name, Encrypted: encrypted, Membership: "join", State: "landed",
		Posts: map[string]int{"landed": landed, "due": due}, LastImported: ago(last), Undecrypted: undecrypted,
	}
}

func trouble(what, state, reason string, count int, in string) status.Trouble {
	t := status.Trouble{What: what, State: state, Reason: reason, Count: count}
	t.Says, t.Cure = status.Explain(what, state, reason)
	t.Examples = []status.Example{{Room: in, Event: "$0aWgJ2b3ZlcnRoZXJhaW5ib3dzb21ld2hlcmU", User: "@alice:example.org", Sent: ago(7 * time.Minute)}}
	return t
}

// away is a connector whose homeserver and broker are away, with refused messages.
func away() status.Snapshot {
	s := healthy()
	s.Readiness = status.Readiness{Reasons: []status.Reason{
		{What: "the homeserver is unreachable", Since: ago(18 * time.Minute), Detail: "sync: Get https://matrix.example.org/_matrix/client/v3/sync: dial tcp 192.0.2.7:443: connection refused"},
		{What: "the platform refuses the connector", Since: ago(4 * time.Minute), Detail: "Ping: AUTH_REQUIRED", Cure: "OPENCTI_TOKEN is unknown or expired, or its user lacks the capability to use API tokens (APIACCESS_USETOKEN)"},
	}}
	s.Counts.Posts = map[string]int{"landed": 41877, "due": 1210, "dead": 3}
	s.Rooms[0].Posts = map[string]int{"landed": 1288, "due": 1206, "dead": 3}
	s.Rooms[0].OldestDue = ago(19 * time.Minute)
	s.Lag.Delivery, s.Lag.Sync = new(1140.0), new(1090.0)
	s.Troubles = append([]status.Trouble{trouble("post", "dead", "refused: UNSUPPORTED_ERROR", 3, s.Rooms[0].ID)}, s.Troubles...)
	s.Disk.Spool, s.Disk.Waits = 2<<30, "spool_full"
	s.Device.Signed, s.Device.Problem = false, "the account's identity has not signed the device, and no recovery key is set"
	s.Device.Cure = "set MATRIX_RECOVERY_KEY to the recovery key of @octi:example.org, or sign the device by emoji from another session of this account: matrix-connector verify"
	s.Failures[0].Since, s.Failures[0].At = ago(18*time.Minute), ago(20*time.Second)
	s.Connector.Warnings = []string{"The store is sealed with a key that lies beside it: a stolen disk is readable. Set MATRIX_STORE_KEY."}
	s.Health = status.Judge(s)
	return s
}

// hostile is a connector in rooms whose names mean harm.
func hostile() status.Snapshot {
	s := healthy()
	s.Rooms[0].Name = `</style></td></table><script>window.harmed=1</script><img src="http://203.0.113.9/x.png" onerror="window.harmed=1">`
	s.Rooms[1].Name = "\u202etxt.exe\u202c \u2066reversed\x00\x1b[31m" + "z\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308\u0309\u030a\u030b\u030c\u030d\u030e"
	s.Rooms[2].Name = strings.Repeat("W", 600)
	s.Undecryptable[0].Rooms[0].Name = s.Rooms[0].Name
	s.Device.Withheld[0].User = "@<script>window.harmed=1</script>" + strings.Repeat("x", 200)
	s.Rooms[3].Name = `" onmouseover="window.harmed=1" style="position:fixed;inset:0`
	s.Invites[0].Room = "!<script>window.harmed=1</script>" + strings.Repeat("x", 200)
	s.Failures[0].Error = "<iframe src=http://203.0.113.9/></iframe>" + strings.Repeat("unbroken", 60)
	return s
}
