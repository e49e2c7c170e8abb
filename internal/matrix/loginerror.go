package matrix

import (
	"fmt"
	"strings"

	"maunium.net/go/mautrix/id"
)

// Reason says why an account cannot be used (closed set).
type Reason string

// The reasons.
const (
	ReasonUserID          Reason = "the user id is not a Matrix user id"
	ReasonServer          Reason = "the homeserver's address is not usable"
	ReasonDiscovery       Reason = "the server's .well-known names no usable homeserver"
	ReasonNoSecret        Reason = "neither a password nor an access token is set"
	ReasonPassword        Reason = "the homeserver does not accept user and password"
	ReasonNoPasswordLogin Reason = "the homeserver offers no login with a password"
	ReasonToken           Reason = "the access token is not known to the homeserver"
	ReasonNoDevice        Reason = "the access token belongs to no device"
	ReasonOtherUser       Reason = "the login belongs to another user"
	ReasonOtherDevice     Reason = "the login belongs to another device than the store"
	ReasonStore           Reason = "the store belongs to another account"
	ReasonForeignKeys     Reason = "the device already has the keys of another client"
	ReasonWrongKeys       Reason = "the device's keys on the homeserver are not those in the store"
	ReasonLocked          Reason = "the account is locked"
	ReasonSuspended       Reason = "the account is suspended"
	ReasonDeactivated     Reason = "the account is deactivated"

	// Of homeservers with an authentication service (OAuth 2.0 API).
	ReasonApproval     Reason = "nobody has approved a login, and the homeserver has no other way in"
	ReasonNoCodes      Reason = "the homeserver lets people in through a browser alone"
	ReasonService      Reason = "the homeserver's authentication service has no usable address"
	ReasonRegistration Reason = "the authentication service does not admit this program"
	ReasonCode         Reason = "the code was not confirmed in time"
	ReasonDenied       Reason = "the login was refused on the page of the authentication service"
	ReasonOtherPerson  Reason = "the login was approved for another account"
	ReasonGrant        Reason = "the login was revoked, or has run out"
)

// class is what to do about it: a locked account comes back by itself.
func (r Reason) class() Class {
	switch r {
	case ReasonLocked, ReasonSuspended, ReasonToken, ReasonPassword, ReasonDeactivated, ReasonGrant:
		return ClassUnauthorized
	case ReasonUserID, ReasonServer, ReasonDiscovery, ReasonNoSecret, ReasonNoPasswordLogin, ReasonNoDevice,
		ReasonOtherUser, ReasonOtherDevice, ReasonStore, ReasonForeignKeys, ReasonWrongKeys,
		ReasonApproval, ReasonNoCodes, ReasonService, ReasonRegistration, ReasonCode, ReasonDenied, ReasonOtherPerson:
		return ClassPermanent
	}
	return ClassPermanent
}

// LoginError says why the account cannot be used. A person has to cure it, see
// [LoginError.Hint].
type LoginError struct {
	Reason Reason
	Server string // as configured
	User   id.UserID
	Device id.DeviceID
	Flows  []string // login types that the homeserver offers, for ReasonNoPasswordLogin
	Codes  bool     // a person can let the account in with a code
	Err    error    // what the homeserver said, where it said something
}

// Error names account and reason.
func (e *LoginError) Error() string {
	text := fmt.Sprintf("use account %s on %s: %s", e.User, e.Server, e.Reason)
	if len(e.Flows) > 0 {
		text += " (it offers: " + strings.Join(e.Flows, ", ") + ")"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives what the homeserver said.
func (e *LoginError) Unwrap() error { return e.Err }

// Hint says what cures it.
func (e *LoginError) Hint() string {
	switch e.Reason {
	case ReasonUserID:
		return "set MATRIX_USER_ID to the bot's full id, like @bot:example.org"
	case ReasonServer, ReasonDiscovery:
		return "set MATRIX_SERVER to the homeserver's URL, like https://matrix.example.org, or to its server name, like example.org"
	case ReasonNoSecret:
		if e.Codes {
			return runLogin + ", or set MATRIX_PASSWORD"
		}
		return "set MATRIX_PASSWORD, or MATRIX_ACCESS_TOKEN to a token of a device made for the bot"
	case ReasonApproval:
		return runLogin
	case ReasonGrant:
		return "stop the connector, and " + runLogin + ": the same device is used again"
	case ReasonCode:
		return runLogin + ", and confirm the new code while it holds"
	case ReasonDenied:
		return runLogin + ", and allow the login on the page"
	case ReasonOtherPerson:
		return "open the page in a private window, log in there as " + e.User.String() + " and not as yourself; for a new code, " + runLogin
	case ReasonNoCodes:
		return "set MATRIX_ACCESS_TOKEN to a token made for the bot (" + issueToken + "), or ask the administrator to offer the " +
			"device authorization grant (oauth.device_code_grant_enabled)"
	case ReasonRegistration:
		return "ask the administrator to let clients register (the policy of the service decides), or set MATRIX_ACCESS_TOKEN to a token made for the bot (" + issueToken + ")"
	case ReasonService:
		return "ask who runs the homeserver: /_matrix/client/v1/auth_metadata names an address that cannot be used"
	case ReasonPassword:
		return "check MATRIX_USER_ID and MATRIX_PASSWORD: log in with them in any Matrix client"
	case ReasonNoPasswordLogin:
		return "set MATRIX_ACCESS_TOKEN to a token made for the bot (" + issueToken + "; with Synapse: the admin API's login as a user), " +
			"or ask the administrator to allow login with a password"
	case ReasonToken:
		if e.Device == "" {
			return "set MATRIX_ACCESS_TOKEN to a valid token of a device that was made for the bot, or remove it and set MATRIX_PASSWORD"
		}
		return "set MATRIX_ACCESS_TOKEN to a valid token of device " + e.deviceName() + ", or remove it and set MATRIX_PASSWORD: the same device is used again"
	case ReasonNoDevice:
		return "set MATRIX_ACCESS_TOKEN to a token that was made for a device (tokens of application services and guests have none)"
	case ReasonOtherUser:
		return "MATRIX_USER_ID and MATRIX_ACCESS_TOKEN must belong together"
	case ReasonOtherDevice:
		return "the store holds the keys of device " + e.deviceName() + ": set MATRIX_ACCESS_TOKEN to a token of that device, or give another device a store of its own (MATRIX_STORE_PATH)"
	case ReasonStore:
		return "one store serves one account: set MATRIX_STORE_PATH to a folder of its own for " + e.User.String()
	case ReasonForeignKeys:
		return "use a token of a device that no other client uses: its keys cannot be taken over, a message could be read by only one of the two; " +
			"log in once more for the bot alone, or set MATRIX_PASSWORD instead"
	case ReasonWrongKeys:
		return "the store is that of another device, or an old copy: set MATRIX_STORE_PATH to the right store, or to an empty folder to start with a new device"
	case ReasonLocked, ReasonSuspended, ReasonDeactivated:
		return "ask the administrator of the homeserver about the account " + e.User.String()
	}
	return ""
}

// Parts of hints.
const (
	runLogin   = "run `matrix-connector login` once"
	issueToken = "with Matrix Authentication Service: mas-cli manage issue-compatibility-token <user>"
)

func (e *LoginError) deviceName() string {
	if e.Device == "" {
		return "the bot's own"
	}
	return e.Device.String()
}
