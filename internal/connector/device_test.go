package connector_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/status"
)

func TestEachCauseOfAMissingKeyLeadsToItsCure(t *testing.T) {
	unsigned := matrix.Standing{Problem: matrix.ProblemUnsigned, BackupProblem: matrix.ProblemNoBackupKey}
	signed := matrix.Standing{Signed: true, Backup: "3"}
	for _, c := range []struct {
		cause  string
		s      matrix.Standing
		says   string
		cure   string
		cureNo string
	}{
		{"m.unverified", unsigned, "verified devices only", "MATRIX_RECOVERY_KEY", "verify each other"},
		{"m.unverified", signed, "verified devices only", "verify each other by emoji (matrix-connector verify)", "RECOVERY"},
		{"m.blacklisted", signed, "has blocked", "allow it", "verify"},
		{"m.unauthorised", signed, "does not share", "keys import", "verify"},
		{"m.unavailable", signed, "any more", "keys import", "verify"},
		{"m.no_olm", signed, "broke", "by itself", "verify"},
		{"failed_olm", signed, "broke", "by itself", "verify"},
		{"before_device", unsigned, "before the bot's device", "set MATRIX_RECOVERY_KEY", "by itself"},
		{"before_device", signed, "before the bot's device", "by itself", "set MATRIX_RECOVERY_KEY"},
		{"before_invite", signed, "before the bot was in the room", "history shared", "verify"},
		{"of nobody", signed, "", "", "verify"},
	} {
		says, cure := connector.BecauseOf(c.cause, c.s)
		if !strings.Contains(says, c.says) || !strings.Contains(cure, c.cure) || strings.Contains(cure, c.cureNo) || (says == "") != (c.says == "") {
			t.Errorf("%s: %q, cure %q", c.cause, says, cure)
		}
	}
}

func TestTheDeviceIsShownAsItStands(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	refusals := []matrix.Refusal{
		{Sender: "@bob:example.org", Code: "m.unverified", Room: "!a:example.org", Count: 3, Last: now.Add(-time.Minute)},
		{Sender: "@eve:example.org", Code: "m.blacklisted", Count: 1, Last: now.Add(-8 * 24 * time.Hour)},
	}
	got := connector.DeviceOf("@octi:example.org", matrix.Standing{Signed: true, Checked: now.UnixMilli(), Backup: "3"}, refusals, now)
	want := status.Device{Looked: now, Signed: true, Backup: "3", Withheld: []status.Withheld{{
		User: "@bob:example.org", Code: "m.unverified", Room: "!a:example.org", Count: 3, Last: now.Add(-time.Minute),
		Cure: "@bob:example.org gives keys only to devices of people whose identity they have verified: verify each other by emoji (matrix-connector verify)",
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	many := make([]matrix.Refusal, 14)
	for i := range many {
		many[i] = matrix.Refusal{Sender: id.UserID("@x:example.org"), Code: "other", Last: now}
	}
	got = connector.DeviceOf("@octi:example.org", matrix.Standing{Problem: matrix.ProblemNoIdentity, BackupProblem: matrix.ProblemNoBackup}, many, now)
	if len(got.Withheld) != 10 || got.MoreWithheld != 4 || !got.Looked.IsZero() || !strings.Contains(got.Cure, "matrix-connector login") || got.BackupCure == "" {
		t.Errorf("%+v", got)
	}
}
