package stix

import (
	"errors"
	"strings"
)

// TLP is a marking of the Traffic Light Protocol 2.0.
type TLP string

// The markings. TLP:WHITE is the former name of TLP:CLEAR.
const (
	TLPClear       TLP = "TLP:CLEAR"
	TLPGreen       TLP = "TLP:GREEN"
	TLPAmber       TLP = "TLP:AMBER"
	TLPAmberStrict TLP = "TLP:AMBER+STRICT"
	TLPRed         TLP = "TLP:RED"
)

// markings are the ids under which every OpenCTI platform holds the markings.
// They are referred to, never sent.
var markings = map[TLP]ID{
	TLPClear:       "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9",
	TLPGreen:       "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da",
	TLPAmber:       "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82",
	TLPAmberStrict: "marking-definition--826578e1-40ad-459f-bc73-ede076f81f37",
	TLPRed:         "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed",
}

// MarkingID is the id of the marking's definition; empty for a TLP that is none of
// the constants.
func (t TLP) MarkingID() ID { return markings[t] }

// errTLP is what [ParseTLP] gives for anything else.
var errTLP = errors.New("not a TLP marking: want CLEAR, GREEN, AMBER, AMBER+STRICT or RED")

// ParseTLP reads a marking as people write it: CLEAR (or WHITE), GREEN, AMBER,
// AMBER+STRICT (also with "_", "-" or a blank), RED, in any case, with or without
// "TLP:" before it. Anything else is an error: a marking is never guessed.
func ParseTLP(text string) (TLP, error) {
	name := strings.ToUpper(strings.TrimSpace(text))
	name = strings.TrimSpace(strings.TrimPrefix(name, "TLP:"))
	switch name {
	case "CLEAR", "WHITE":
		return TLPClear, nil
	case "GREEN":
		return TLPGreen, nil
	case "AMBER":
		return TLPAmber, nil
	case "AMBER+STRICT", "AMBER_STRICT", "AMBER-STRICT", "AMBER STRICT":
		return TLPAmberStrict, nil
	case "RED":
		return TLPRed, nil
	}
	return "", errTLP
}
