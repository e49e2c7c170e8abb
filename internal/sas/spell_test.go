package sas_test

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/sas"
)

func TestCanonicalJSON(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{ // "" means that there is none
		// The examples of the Matrix specification, appendices.
		"empty":              {`{}`, `{}`},
		"spec: order":        {"{\n \"one\": 1,\n \"two\": \"Two\"\n}", `{"one":1,"two":"Two"}`},
		"spec: sorted":       {`{"b": "2", "a": "1"}`, `{"a":"1","b":"2"}`},
		"spec: nested":       {`{"auth":{"success":true,"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"medium":"email","address":"john.doe@example.org"},{"medium":"msisdn","address":"123456789"}]}}}`, `{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}`},
		"spec: UTF-8":        {`{"a": "日本語"}`, `{"a":"日本語"}`},
		"spec: code points":  {`{"本": 2, "日": 1}`, `{"日":1,"本":2}`},
		"spec: escapes":      {`{"a": "\u65E5"}`, `{"a":"日"}`},
		"spec: null":         {`{"a": null}`, `{"a":null}`},
		"text and slashes":   {`"\/<>&\u2028\u007f"`, "\"/<>&\u2028\u007f\""},
		"controls":           {`"\u0000\u0008\t\n\f\r\u001f\\\""`, `"\u0000\b\t\n\f\r\u001f\\\""`},
		"beyond 16 bits":     {`{"😀":1,"～":2}`, `{"～":2,"😀":1}`},
		"lists":              {`[ true , false, [ ] , {} ]`, `[true,false,[],{}]`},
		"large numbers":      {`[9007199254740991,-9007199254740991]`, `[9007199254740991,-9007199254740991]`},
		"too large a number": {`9007199254740992`, ``},
		"far too large":      {`1e400`, ``},
		"a fraction":         {`1.5`, ``},
		"an exponent":        {`1e2`, ``},
		"minus zero":         {`-0`, ``},
		"two values":         {`{} {}`, ``},
		"half a value":       {`{"a":`, ``},
		"nothing":            {``, ``},
		"a fraction inside":  {`{"a":[{"b":1.0}]}`, ``},
		"depth":              {strings.Repeat("[", 5000) + strings.Repeat("]", 5000), strings.Repeat("[", 5000) + strings.Repeat("]", 5000)},
	} {
		got, err := sas.Canonicalize([]byte(tc.in))
		if (err == nil) != (tc.want != "") || string(got) != tc.want {
			t.Errorf("%s: %s is %s (%v), not %s", name, tc.in, got, err, tc.want)
		}
	}
}

func TestTheBrokenBase64IsThatOfLibolm(t *testing.T) {
	// The example with which the fault was reported (MSC3783).
	sum, _ := hex.DecodeString("7969bb13255e77f8e0225e1d9d050fe6f673ecd9504e38c850c8529ea8b30ae6")
	if got, want := sas.Broken(sum), "eWm7NyVeVmXgbVhnYlZobllsWm9ibGxzV205aWJHeHo"; got != want {
		t.Errorf("got %s, not %s", got, want)
	}
	if got := base64.RawStdEncoding.EncodeToString(sum); got == sas.Broken(sum) {
		t.Error("it is not broken")
	}
	// Six bytes of the sum are all that it keeps.
	kept := 0
	for i := range sum {
		other := append([]byte(nil), sum...)
		other[i] ^= 0xff
		if sas.Broken(other) != sas.Broken(sum) {
			kept++
		}
	}
	if kept != 6 {
		t.Errorf("keeps %d bytes", kept)
	}
}

func TestTheEmojiAreToldApart(t *testing.T) {
	symbols, names := map[string]bool{}, map[string]bool{}
	for _, e := range sas.Table {
		symbols[e.Symbol], names[e.Name] = true, true
		if e.Symbol == "" || e.Name == "" {
			t.Errorf("%q has no name or symbol", e)
		}
	}
	if len(symbols) != 64 || len(names) != 64 {
		t.Errorf("%d symbols and %d names", len(symbols), len(names))
	}
}

func TestACommitmentIsThatOfElement(t *testing.T) {
	// Sent by its Rust crypto.
	start, err := sas.Canonicalize([]byte(`{
		"from_device": "XOWLHHFSWM", "transaction_id": "bYxBsirjUJO9osar6ST4i2M2NjrYLA7l", "method": "m.sas.v1",
		"key_agreement_protocols": ["curve25519-hkdf-sha256", "curve25519"], "hashes": ["sha256"],
		"message_authentication_codes": ["hkdf-hmac-sha256", "hmac-sha256"], "short_authentication_string": ["decimal", "emoji"]
	}`))
	if err != nil {
		t.Fatal(err)
	}
	public, _ := base64.RawStdEncoding.DecodeString("Q/NmNFEUS1fS+YeEmiZkjjblKTitrKOAk7cPEumcMlg")
	if got, want := base64.RawStdEncoding.EncodeToString(sas.Commitment(public, start)), "CCQmB4JCdB0FW21FdAnHj/Hu8+W9+Nb0vgwPEnZZQ4g"; got != want {
		t.Errorf("got %s, not %s", got, want)
	}
}
