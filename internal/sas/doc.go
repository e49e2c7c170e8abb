// Package sas verifies another person's device and identity, and lets them verify ours,
// by seven emoji that both compare: interactive key verification by short
// authentication string (Matrix C-S API, "Key verification framework" and "Short
// Authentication String (SAS) verification").
//
// It is a state machine and nothing else. What was received goes in, what is to be sent
// comes out; it has no network, no clock, no goroutine and no log, and its randomness can
// be handed to it. What comes in is believed in no field.
//
//	        they ask                                    we ask
//	Requested ──▶ asked                         Request ──▶ asking
//	     Accept, of │ │ Accept                                │ ready
//	   a bare start │ ╰───────────────▶ ready ◀───────────────╯
//	                │            start ╱     ╲ Start
//	                ╰──────▶ accepted ◀─start── started
//	                             │    (theirs wins) │ accept
//	                         key │                keyed
//	                             │                  │ key
//	                             ╰──▶ comparing ◀───╯
//	                                      │ Confirm (their mac may have come already)
//	                                  confirmed
//	                                      │ mac, and their keys from Supply
//	                                  finishing
//	                                      │ done
//	                                    done            from all before: ──▶ cancelled
//
// A capital letter is a method that the caller calls, the others are what they send. A
// [Verification] that was cancelled or is done takes nothing more and sends nothing more,
// so two sides can never answer each other's errors for ever.
//
// What it promises: a verification is done only if both sides had the same secret, a
// person here said that the strings are the same, and the other side, who said the same,
// vouched with that secret for keys that are those which the caller had from the
// homeserver ([Verification.Outcome]). Whoever sits between (the homeserver above all)
// has one guess among 2^42 emoji. The secret, the private key and the string never
// appear in an error or when a Verification is printed.
//
// What it does not do: ask who may verify (the caller hands over only what is from those
// who may, and what our own account says in their rooms), sign the keys that were
// verified, or survive a restart. A verification is meant for two people who look at
// their screens, and takes ten minutes at most. Element's Rust crypto is less patient: it
// gives up when a minute passes between two messages, and so when a person here takes
// longer than that to compare.
//
// # How it is driven
//
// [Book] holds the verifications of a device. Each event of a verification goes into
// [Book.Receive], in the order in which they came; each [Message] that any call returns
// is to be sent, in that order, before the next call. When a person is in front of it:
//
//	v, send, err := book.Receive(event, now)   // their request: v.State() is StateAsked
//	send, err = v.Accept()                     // a person here wants to
//	// …their events go into book.Receive; as soon as v.NeedsKeys():
//	send, err = v.Supply(keys)                 // from /keys/query, checked by the caller
//	// …until v.State() is StateComparing:
//	emoji, ok := v.Emoji()                     // shown, compared by both
//	send, err = v.Confirm()                    // or v.Mismatch()
//	// …until v.State() is StateDone:
//	them, ok := v.Outcome()                    // the keys to sign
//
// The two transports differ only in what the caller does with a Message, and in where an
// [Event] comes from. A Message with Devices goes to those devices of User, as it is. One
// with a Room goes to that room, encrypted if the room is; if it opens the verification
// ([RequestInRoom]), its event id is handed to [Verification.Opened] before anything else
// is received. In an encrypted room the relation stands outside of the ciphertext, and
// whoever decrypts puts it back into the content as m.relates_to: the other side has
// hashed it there.
package sas
