package matrix

import (
	"context"

	"maunium.net/go/mautrix/id"
)

// Problem says what keeps the device from being one that everybody gives room keys to
// (closed set). Each is a phrase that can follow "because".
type Problem string

// The problems of the account's identity.
const (
	ProblemNoIdentity Problem = "the account has no cross-signing identity"
	ProblemUnsigned   Problem = "the account's identity has not signed the device, and no recovery key is set"
	ProblemWrongKey   Problem = "the recovery key does not open the account's secret storage"
	ProblemNoSecrets  Problem = "the account's secret storage does not hold its cross-signing keys"
	ProblemOtherKeys  Problem = "the cross-signing keys in the account's secret storage are not those of its identity"
	ProblemChanged    Problem = "the account's identity has been replaced by another one"
	ProblemGone       Problem = "the homeserver no longer shows the account's identity"
	ProblemOvertaken  Problem = "somebody else has made the account's identity while the bot was making one"
	ProblemForeign    Problem = "the account has a secret storage but no identity, and no recovery key is set"
	ProblemRefused    Problem = "the homeserver lets nobody make an identity without one more login"
	ProblemKeyOut     Problem = "the recovery key of the new identity cannot be written"
)

// The problems of the key backup.
const (
	ProblemNoBackup      Problem = "there is no key backup, and no recovery key to make one with"
	ProblemOtherBackup   Problem = "the key backup is not the one that the secret storage has the key of"
	ProblemBackupUnknown Problem = "the key backup is of a kind that is not known"
	ProblemNoBackupKey   Problem = "the key backup cannot be opened without the recovery key"
)

// Hint says what cures it.
func (p Problem) Hint(user id.UserID) string {
	switch p {
	case ProblemNoIdentity:
		return "run matrix-connector login on a terminal, which shows the recovery key of the new identity once; " +
			"or set MATRIX_RECOVERY_KEY_OUT to a file that it is written to"
	case ProblemUnsigned:
		return "set MATRIX_RECOVERY_KEY to the recovery key of " + user.String() +
			", or sign the device by emoji from another session of this account: matrix-connector verify"
	case ProblemWrongKey:
		return "set MATRIX_RECOVERY_KEY to the recovery key, or the security phrase, of " + user.String()
	case ProblemNoSecrets, ProblemOtherKeys:
		return "sign the device by emoji from another session of " + user.String() + " (matrix-connector verify), " +
			"or set up secure backup anew in that session and set MATRIX_RECOVERY_KEY to its recovery key"
	case ProblemChanged:
		return "find out who has reset the identity of " + user.String() + "; if it was meant, set MATRIX_RECOVERY_KEY to the new recovery key"
	case ProblemGone:
		return "it is looked for daily; find out who has deleted the cross-signing keys of " + user.String() + ", and whether they come back; if that was meant, " +
			"log in to the account in a Matrix client, which makes an identity, and set MATRIX_RECOVERY_KEY to its recovery key"
	case ProblemOvertaken:
		return "throw away the recovery key that the bot has handed over, and the file that it is in: it opens nothing; " +
			"set MATRIX_RECOVERY_KEY to the recovery key that the other one of " + user.String() + " was shown"
	case ProblemForeign:
		return "set MATRIX_RECOVERY_KEY to the recovery key of " + user.String() + ": with it the new identity is kept in that storage"
	case ProblemRefused:
		return "set MATRIX_PASSWORD for one start, or make the identity by logging in to " + user.String() + " in a Matrix client, " +
			"and set MATRIX_RECOVERY_KEY to its recovery key"
	case ProblemKeyOut:
		return "set MATRIX_RECOVERY_KEY_OUT to a file that does not exist yet, in a folder that can be written to"
	case ProblemNoBackup:
		return "it is made together with the account's identity; where the account has one, set MATRIX_RECOVERY_KEY to its recovery key"
	case ProblemNoBackupKey:
		return "set MATRIX_RECOVERY_KEY to the recovery key of " + user.String()
	case ProblemOtherBackup, ProblemBackupUnknown:
		return "delete the key backup in another session of " + user.String() + ": the bot makes one of its own"
	}
	return ""
}

// problem carries a Problem to where it is noted, through functions that return errors.
type problemError struct {
	Problem Problem
	Detail  string // of the homeserver, without secrets
}

func (e *problemError) Error() string {
	if e.Detail != "" {
		return string(e.Problem) + ": " + e.Detail
	}
	return string(e.Problem)
}

// Standing is how the device stands with those who have to give it their keys.
type Standing struct {
	Identity bool // the account has cross-signing keys
	Signed   bool // they have signed the device
	Problem  Problem
	Detail   string // what the homeserver said; may be empty
	Checked  int64  // milliseconds since 1970; 0: never

	Backup        string // version of the key backup that is used; empty: none
	BackupProblem Problem
}

// Standing is what the last look found ([Account.Secure], [Account.Backup]). It asks
// nobody, and may be called on a store that is open for reading.
func (a *Account) Standing(ctx context.Context) (Standing, error) {
	return a.standing(ctx)
}
