package matrix_test

import (
	"strings"
	"sync"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// identity is the master key that an account shows, to itself.
func (s *scene) identity(element *matrixtest.Peer) id.Ed25519 {
	s.t.Helper()
	answer, err := element.Client.QueryKeys(s.t.Context(), &mautrix.ReqQueryKeys{DeviceKeys: mautrix.DeviceKeysRequest{s.bot: nil}})
	if err != nil {
		s.t.Fatal(err)
	}
	master := answer.MasterKeys[s.bot]
	return master.FirstKey()
}

// While the bot makes an identity for its account, somebody makes one in another client. The
// bot's is given up at whatever point that is noticed, and theirs stays. Whoever was given a
// recovery key hears that it opens nothing.
func TestAnIdentityThatSomebodyElseIsMakingIsNotReplaced(t *testing.T) {
	// met when the fault is reached: in front of the request that it concerns.
	for name, o := range map[string]struct {
		options matrixtest.Options
		at      matrixtest.Fault
		given   bool
	}{
		"before the recovery key is handed over":       {at: matrixtest.Fault{}, given: true},
		"before its storage is the account's":          {at: matrixtest.Fault{On: matrixtest.AccountData, Path: "m.cross_signing.master"}, given: true},
		"once its storage is the account's":            {at: matrixtest.Fault{On: matrixtest.KeysQuery, After: 1}, given: true},
		"once nothing but the password is asked for":   {options: matrixtest.Options{IdentityAuth: []string{"m.login.password"}}, at: matrixtest.Fault{On: matrixtest.KeysSigning}, given: true},
		"with a recovery key of the operator's":        {at: matrixtest.Fault{On: matrixtest.KeysQuery, After: 1}},
		"with that one, and the password is asked for": {options: matrixtest.Options{IdentityAuth: []string{"m.login.password"}}, at: matrixtest.Fault{On: matrixtest.KeysSigning}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, o.options)
			var element *matrixtest.Peer
			var theirs string
			var once sync.Once
			meanwhile := func() {
				once.Do(func() {
					s.server.Heal()
					theirs, element = s.hasIdentity()
				})
			}
			a := s.open(func(c *matrix.Config) {
				if !o.given {
					c.RecoveryKey = "a phrase of the operator's"
					return
				}
				c.GiveRecoveryKey = func(string) error {
					if o.at.On == "" {
						meanwhile()
					}
					return nil
				}
			})
			if o.at.On != "" {
				o.at.Reach = meanwhile
				s.server.Inject(o.at)
			}
			st := s.secured(a)
			if element == nil {
				t.Fatal("nobody made an identity meanwhile")
			}
			if st.Signed || o.given && st.Problem != matrix.ProblemOvertaken || !o.given && st.Problem == "" {
				t.Errorf("%+v", st)
			}
			if got, want := s.identity(element), element.Machine.CrossSigningKeys.MasterKey.PublicKey(); got != want {
				t.Error("their identity was replaced")
			}
			// The next look finds theirs, and with their recovery key it is as with any other.
			if st := s.secured(a); st.Problem == matrix.ProblemOvertaken || st.Signed {
				t.Errorf("the next look: %+v", st)
			}
			s.restart(a)
			a = s.open(withRecoveryKey(theirs))
			if st := s.secured(a); !st.Signed || st.Problem != "" {
				t.Errorf("with their recovery key: %+v", st)
			}
		})
	}
}

// An identity that was there and is no more was deleted, or is hidden. Another one in its place
// would look to everybody as if somebody else had the account.
func TestAnIdentityThatIsGoneIsNotReplaced(t *testing.T) {
	s := newScene(t, matrixtest.Options{})
	var key string
	a := s.open(recovered(&key))
	s.secured(a)
	made := len(s.server.Requests(matrixtest.KeysSigning))
	s.server.ResetIdentity(s.bot)
	if st := s.secured(a); st.Problem != matrix.ProblemGone || st.Signed || st.Identity {
		t.Errorf("%+v", st)
	}
	probe := matrix.NewProbe(s.config())
	if _, err := probe.Homeserver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := probe.Login(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := probe.Trust(t.Context(), true); err != nil || got.Problem != matrix.ProblemGone {
		t.Errorf("a check finds %+v, %v", got, err)
	}
	if n := len(s.server.Requests(matrixtest.KeysSigning)); n != made {
		t.Error("another identity was made")
	}
	if log := s.log.String(); !strings.Contains(log, string(matrix.ProblemGone)) {
		t.Error("the log does not say so")
	}
}
