package connector

import (
	"context"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
)

// Standing is how the bot's device stands with those who have to give it their room keys.
type Standing struct {
	Signed bool
	Doubt  Doubt  // why it is not signed
	Backup string // version of the key backup that is in use; empty: none
	// NotSaved is why keys are not saved outside of the store.
	NotSaved Doubt
	// Locked: there is something that the account's recovery key opens, and none was given,
	// or Wrong: one that does not open it.
	Locked, Wrong bool
	// Overtaken: somebody else has made the identity meanwhile, and a recovery key that was
	// handed over opens nothing.
	Overtaken bool
}

// Doubt is something that a person has to cure; the zero value is none.
type Doubt struct {
	Because string // a phrase
	Detail  string // what the homeserver said; may be empty
	Hint    string
}

// Identity has the account's cross-signing identity sign the device and opens its key
// backup, with the recovery key of the settings, and makes both where the account has
// none and Config.GiveRecoveryKey, or the settings, say where the new recovery key goes.
// What a person has to cure is in the Standing.
func (l *Login) Identity(ctx context.Context) (Standing, error) {
	a := l.connector.account
	if s, err := a.Secure(ctx); err != nil {
		return l.standing(s), err
	}
	s, err := a.Backup(ctx)
	return l.standing(s), err
}

// IdentityWith is Identity with the recovery key, or the security phrase, that a person
// typed. It is kept nowhere.
func (l *Login) IdentityWith(ctx context.Context, recoveryKey string) (Standing, error) {
	l.connector.account.UseRecoveryKey(recoveryKey)
	return l.Identity(ctx)
}

func (l *Login) standing(s matrix.Standing) Standing {
	user := l.connector.account.UserID()
	out := Standing{Signed: s.Signed, Backup: s.Backup, Wrong: s.Problem == matrix.ProblemWrongKey || s.BackupProblem == matrix.ProblemWrongKey}
	out.Overtaken = s.Problem == matrix.ProblemOvertaken
	out.Locked = out.Wrong || out.Overtaken || s.Problem == matrix.ProblemUnsigned || s.Problem == matrix.ProblemForeign || s.BackupProblem == matrix.ProblemNoBackupKey
	if s.Problem != "" {
		out.Doubt = Doubt{Because: string(s.Problem), Detail: s.Detail, Hint: s.Problem.Hint(user)}
	}
	// A backup is made together with an identity: what keeps that away is said once.
	if s.BackupProblem != "" && (s.Identity || s.BackupProblem != matrix.ProblemNoBackup) {
		out.NotSaved = Doubt{Because: string(s.BackupProblem), Hint: s.BackupProblem.Hint(user)}
	}
	return out
}
