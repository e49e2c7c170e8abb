package matrixtest

// Endpoint names a group of routes, for faults and for counting.
type Endpoint string

// The endpoints.
const (
	Versions        Endpoint = "versions"
	WellKnown       Endpoint = "well_known"
	LoginFlows      Endpoint = "login_flows"
	Login           Endpoint = "login"
	Whoami          Endpoint = "whoami"
	Logout          Endpoint = "logout"
	Filter          Endpoint = "filter"
	Sync            Endpoint = "sync"
	Messages        Endpoint = "messages"
	GetEvent        Endpoint = "event"
	GetState        Endpoint = "state"
	SendEvent       Endpoint = "send"
	SendState       Endpoint = "send_state"
	Join            Endpoint = "join"
	Leave           Endpoint = "leave"
	Invite          Endpoint = "invite"
	CreateRoom      Endpoint = "create_room"
	Members         Endpoint = "members"
	Alias           Endpoint = "alias"
	Profile         Endpoint = "profile"
	AccountData     Endpoint = "account_data"
	Devices         Endpoint = "devices"
	KeysUpload      Endpoint = "keys_upload"
	KeysQuery       Endpoint = "keys_query"
	KeysClaim       Endpoint = "keys_claim"
	KeysChanges     Endpoint = "keys_changes"
	KeysSigning     Endpoint = "keys_device_signing"
	KeysSignatures  Endpoint = "keys_signatures"
	RoomKeysVersion Endpoint = "room_keys_version"
	RoomKeys        Endpoint = "room_keys"
	ToDevice        Endpoint = "send_to_device"
	MediaDownload   Endpoint = "media_download"
	MediaLegacy     Endpoint = "media_legacy"
	MediaUpload     Endpoint = "media_upload"
	MediaConfig     Endpoint = "media_config"
	CDN             Endpoint = "cdn"
	AuthMetadata    Endpoint = "auth_metadata"
	OAuthRegister   Endpoint = "oauth_register"
	OAuthCode       Endpoint = "oauth_device"
	OAuthToken      Endpoint = "oauth_token" //nolint:gosec // G101: a name of an endpoint
	OAuthRevoke     Endpoint = "oauth_revoke"
)

type route struct {
	pattern string
	name    Endpoint
	auth    bool
	raw     bool // the handler reads the body itself
	handle  func(*Server, *call)
}

const v3 = "/_matrix/client/v3/"

var routes = []route{
	{pattern: "GET /_matrix/client/versions", name: Versions, handle: (*Server).versions},
	{pattern: "GET /.well-known/matrix/client", name: WellKnown, handle: (*Server).wellKnown},
	{pattern: "GET " + v3 + "login", name: LoginFlows, handle: (*Server).loginFlows},
	{pattern: "POST " + v3 + "login", name: Login, handle: (*Server).login},
	{pattern: "GET " + v3 + "account/whoami", name: Whoami, auth: true, handle: (*Server).whoami},
	{pattern: "POST " + v3 + "logout", name: Logout, auth: true, handle: (*Server).logout},
	{pattern: "POST " + v3 + "user/{user}/filter", name: Filter, auth: true, handle: (*Server).createFilter},
	{pattern: "GET " + v3 + "user/{user}/filter/{filter}", name: Filter, auth: true, handle: (*Server).getFilter},
	{pattern: "GET " + v3 + "sync", name: Sync, auth: true, handle: (*Server).sync},
	{pattern: "GET " + v3 + "rooms/{room}/messages", name: Messages, auth: true, handle: (*Server).messages},
	{pattern: "GET " + v3 + "rooms/{room}/event/{event}", name: GetEvent, auth: true, handle: (*Server).event},
	{pattern: "GET " + v3 + "rooms/{room}/state", name: GetState, auth: true, handle: (*Server).fullState},
	{pattern: "GET " + v3 + "rooms/{room}/state/{type}", name: GetState, auth: true, handle: (*Server).stateEvent},
	{pattern: "GET " + v3 + "rooms/{room}/state/{type}/{$}", name: GetState, auth: true, handle: (*Server).stateEvent},
	{pattern: "GET " + v3 + "rooms/{room}/state/{type}/{key}", name: GetState, auth: true, handle: (*Server).stateEvent},
	{pattern: "PUT " + v3 + "rooms/{room}/state/{type}", name: SendState, auth: true, handle: (*Server).putState},
	{pattern: "PUT " + v3 + "rooms/{room}/state/{type}/{$}", name: SendState, auth: true, handle: (*Server).putState},
	{pattern: "PUT " + v3 + "rooms/{room}/state/{type}/{key}", name: SendState, auth: true, handle: (*Server).putState},
	{pattern: "PUT " + v3 + "rooms/{room}/send/{type}/{txn}", name: SendEvent, auth: true, handle: (*Server).send},
	{pattern: "PUT " + v3 + "rooms/{room}/redact/{event}/{txn}", name: SendEvent, auth: true, handle: (*Server).redact},
	{pattern: "POST " + v3 + "createRoom", name: CreateRoom, auth: true, handle: (*Server).createRoom},
	{pattern: "POST " + v3 + "join/{room}", name: Join, auth: true, handle: (*Server).join},
	{pattern: "POST " + v3 + "rooms/{room}/join", name: Join, auth: true, handle: (*Server).join},
	{pattern: "POST " + v3 + "rooms/{room}/leave", name: Leave, auth: true, handle: (*Server).leave},
	{pattern: "POST " + v3 + "rooms/{room}/invite", name: Invite, auth: true, handle: (*Server).invite},
	{pattern: "GET " + v3 + "rooms/{room}/joined_members", name: Members, auth: true, handle: (*Server).joinedMembers},
	{pattern: "GET " + v3 + "rooms/{room}/members", name: Members, auth: true, handle: (*Server).members},
	{pattern: "GET " + v3 + "joined_rooms", name: Members, auth: true, handle: (*Server).joinedRooms},
	{pattern: "GET " + v3 + "directory/room/{alias}", name: Alias, auth: true, handle: (*Server).alias},
	{pattern: "GET " + v3 + "profile/{user}", name: Profile, handle: (*Server).profile},
	{pattern: "GET " + v3 + "profile/{user}/displayname", name: Profile, handle: (*Server).profile},
	{pattern: "PUT " + v3 + "profile/{user}/displayname", name: Profile, auth: true, handle: (*Server).putDisplayName},
	{pattern: "GET " + v3 + "user/{user}/account_data/{type}", name: AccountData, auth: true, handle: (*Server).accountData},
	{pattern: "PUT " + v3 + "user/{user}/account_data/{type}", name: AccountData, auth: true, handle: (*Server).putAccountData},
	{pattern: "GET " + v3 + "devices", name: Devices, auth: true, handle: (*Server).listDevices},
	{pattern: "GET " + v3 + "devices/{device}", name: Devices, auth: true, handle: (*Server).getDevice},
	{pattern: "PUT " + v3 + "devices/{device}", name: Devices, auth: true, handle: (*Server).putDevice},
	{pattern: "POST " + v3 + "keys/upload", name: KeysUpload, auth: true, handle: (*Server).keysUpload},
	{pattern: "POST " + v3 + "keys/query", name: KeysQuery, auth: true, handle: (*Server).keysQuery},
	{pattern: "POST " + v3 + "keys/claim", name: KeysClaim, auth: true, handle: (*Server).keysClaim},
	{pattern: "GET " + v3 + "keys/changes", name: KeysChanges, auth: true, handle: (*Server).keysChanges},
	{pattern: "POST " + v3 + "keys/device_signing/upload", name: KeysSigning, auth: true, handle: (*Server).keysSigning},
	{pattern: "POST " + v3 + "keys/signatures/upload", name: KeysSignatures, auth: true, handle: (*Server).keysSignatures},
	{pattern: "GET " + v3 + "room_keys/version", name: RoomKeysVersion, auth: true, handle: (*Server).backupVersion},
	{pattern: "POST " + v3 + "room_keys/version", name: RoomKeysVersion, auth: true, handle: (*Server).makeBackup},
	{pattern: "PUT " + v3 + "room_keys/keys", name: RoomKeys, auth: true, handle: (*Server).putKeys},
	{pattern: "GET " + v3 + "room_keys/keys/{room}/{session}", name: RoomKeys, auth: true, handle: (*Server).getKey},
	{pattern: "PUT " + v3 + "sendToDevice/{type}/{txn}", name: ToDevice, auth: true, handle: (*Server).sendToDevice},
	{pattern: "GET /_matrix/client/v1/media/download/{server}/{media}", name: MediaDownload, auth: true, handle: (*Server).download},
	{pattern: "GET /_matrix/client/v1/media/download/{server}/{media}/{name}", name: MediaDownload, auth: true, handle: (*Server).download},
	{pattern: "GET /_matrix/client/v1/media/config", name: MediaConfig, auth: true, handle: (*Server).mediaConfig},
	{pattern: "GET /_matrix/media/v3/download/{server}/{media}", name: MediaLegacy, handle: (*Server).legacyDownload},
	{pattern: "POST /_matrix/media/v3/upload", name: MediaUpload, auth: true, raw: true, handle: (*Server).upload},
	{pattern: "GET /cdn/{media}", name: CDN, handle: (*Server).cdn},
	{pattern: "GET /_matrix/client/v1/auth_metadata", name: AuthMetadata, handle: (*Server).authMetadata},
	{pattern: "POST /oauth2/registration", name: OAuthRegister, handle: (*Server).oauthRegister},
	{pattern: "POST /oauth2/device", name: OAuthCode, handle: (*Server).oauthCode},
	{pattern: "POST /oauth2/token", name: OAuthToken, handle: (*Server).oauthToken},
	{pattern: "POST /oauth2/revoke", name: OAuthRevoke, handle: (*Server).oauthRevoke},
}
