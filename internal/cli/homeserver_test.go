package cli_test

import (
	"context"
	"encoding/json"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// serverKey is where a script keeps its homeserver.
const serverKey = "homeserver"

// homeserver starts a homeserver that has the account bot, and sets what a command needs to
// use it: "homeserver". With "identity FILE" somebody has given the account an identity in
// another client before, and its recovery key is in the file.
func homeserver(ts *testscript.TestScript, neg bool, args []string) {
	server, err := matrixtest.New(matrixtest.Options{})
	ts.Check(err)
	ts.Defer(func() {
		if v := server.Violations(); len(v) > 0 {
			ts.Fatalf("violations of the protocol:\n%s", strings.Join(v, "\n"))
		}
		ts.Check(server.Close())
	})
	server.Account("bot", "canary-password")
	switch {
	case neg, len(args) != 0 && len(args) != 2:
		ts.Fatalf("usage: homeserver [identity FILE]")
	case len(args) == 2:
		other, err := server.NewPeer(context.Background(), "bot")
		ts.Check(err)
		server.Account("bot", "canary-password") // a peer has a password of its own
		key, err := other.Machine.GenerateAndVerifyWithRecoveryKey(context.Background())
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(key+"\n"), 0o600))
	}
	for name, value := range map[string]string{
		"MATRIX_SERVER": server.URL(), "MATRIX_USER_ID": server.UserID("bot").String(), "MATRIX_PASSWORD": "canary-password",
		"MATRIX_STORE_KEY": "canary-store-key, a long one",
	} {
		ts.Setenv(name, value)
	}
	*ts.Value(serverKey).(**matrixtest.Server) = server
}

// signed asserts how many of the account's devices its identity has signed.
func signed(ts *testscript.TestScript, neg bool, args []string) {
	server := *ts.Value(serverKey).(**matrixtest.Server)
	if neg || len(args) != 1 || server == nil {
		ts.Fatalf("usage: signed COUNT")
	}
	n := 0
	user := server.UserID("bot")
	for _, device := range server.DeviceIDs(user) {
		var keys struct {
			Signatures map[id.UserID]map[string]string `json:"signatures"`
		}
		if err := json.Unmarshal(server.DeviceKeys(user, device), &keys); err == nil && len(keys.Signatures[user]) > 1 {
			n++
		}
	}
	if args[0] != string(rune('0'+n)) {
		ts.Fatalf("%d devices are signed", n)
	}
}
