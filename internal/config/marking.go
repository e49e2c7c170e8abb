package config

import "strings"

// TLP is a level of the Traffic Light Protocol 2.0.
type TLP string

// The levels.
const (
	TLPClear       TLP = "CLEAR"
	TLPGreen       TLP = "GREEN"
	TLPAmber       TLP = "AMBER"
	TLPAmberStrict TLP = "AMBER+STRICT"
	TLPRed         TLP = "RED"
)

func (TLP) choices() []string {
	return []string{string(TLPClear), string(TLPGreen), string(TLPAmber), string(TLPAmberStrict), string(TLPRed)}
}

// UnmarshalText takes a level in any case, with or without "TLP:", with +, _, - or
// a blank before STRICT, and WHITE for CLEAR. Anything else stops the start:
// guessing a marking could publish what is confidential.
func (t *TLP) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(strings.TrimPrefix(strings.ToUpper(string(text)), "TLP:"))
	switch level := TLP(strings.NewReplacer("_", "+", "-", "+", " ", "+").Replace(s)); level {
	case TLPClear, TLPGreen, TLPAmber, TLPAmberStrict, TLPRed:
		*t = level
	case "WHITE":
		*t = TLPClear
	default:
		return malformed("is no TLP level", "write CLEAR, GREEN, AMBER, AMBER+STRICT or RED")
	}
	return nil
}
