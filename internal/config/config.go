package config

// Config holds every setting. The zero value of a field that has no default means
// "not set".
type Config struct {
	OpenCTI   OpenCTI   `section:"opencti"`
	Connector Connector `section:"connector"`
	Matrix    Matrix    `section:"matrix"`
	MQ        MQ        `section:"mq"`
	Network   Network

	// Warnings are what looked odd without being wrong, in the order it was found.
	Warnings []Warning

	sources map[string]Source
	texts   map[string]string // by variable; nothing that is secret
}

// OpenCTI says where the platform is. Nothing of it is needed to export to a
// directory.
type OpenCTI struct {
	// Address of the platform, with the base path if it has one, without `/graphql`.
	URL URL `env:"OPENCTI_URL" example:"https://opencti.example.org" need:"platform"`
	// Token of the user that the connector acts as.
	Token Secret `env:"OPENCTI_TOKEN" need:"platform"`
	// Whether the platform's certificate is verified: `true`, `false`, or the path of a file with the certificates to trust.
	SSLVerify Verify `env:"OPENCTI_SSL_VERIFY" default:"true" for:"platform"`
	// Log lines as JSON. Off, or on a terminal, they are plain text.
	JSONLogging bool `env:"OPENCTI_JSON_LOGGING" default:"true"`
	// Headers added to every call of the platform, as `name:value;name2:value2`.
	CustomHeaders Headers `env:"OPENCTI_CUSTOM_HEADERS" example:"X-Team:intel;X-Zone:dmz" for:"platform"`
	// Client certificate towards the platform, as PEM text or the path of a file.
	ClientCert string `env:"OPENCTI_CLIENT_CERT" example:"/etc/ssl/connector.pem" for:"platform"`
	// Key of that certificate, as PEM text or the path of a file.
	ClientKey Secret `env:"OPENCTI_CLIENT_KEY" for:"platform"`
}

// Connector is what the platform calls this connector.
type Connector struct {
	// A UUID of your own making (`uuidgen`), without underscores; the connector is known by it for ever.
	ID ConnectorID `env:"CONNECTOR_ID" need:"platform"`
	// The kind of connector; there is only this one.
	Type ConnectorType `env:"CONNECTOR_TYPE" default:"EXTERNAL_IMPORT"`
	// The name shown in the platform, two characters or more.
	Name ConnectorName `env:"CONNECTOR_NAME" default:"Matrix"`
	// Shown in the platform; it has no other effect for an import.
	Scope List `env:"CONNECTOR_SCOPE" default:"matrix"`
	// `debug`, `info`, `warning` or `error`.
	LogLevel LogLevel `env:"CONNECTOR_LOG_LEVEL" default:"info"`
	// Written on objects when set: 0 to 100, or 1 to 4 for the platform's former steps 15, 50, 75 and 85. The platform caps it by the token's user.
	ConfidenceLevel Confidence `env:"CONNECTOR_CONFIDENCE_LEVEL" example:"75" for:"platform"`
	// Size of the connector's queue, in MB, that the platform shows as its bound. One batch at a time is sent, so that it is never near.
	QueueThreshold int `env:"CONNECTOR_QUEUE_THRESHOLD" default:"500" min:"1" max:"1000000" for:"platform"`
	// How messages reach the platform's workers: `amqp`, or `api` where the broker cannot be reached, which is weaker.
	QueueProtocol QueueProtocol `env:"CONNECTOR_QUEUE_PROTOCOL,QUEUE_PROTOCOL" default:"amqp" for:"platform"`
	// Whether metrics, health and the status page are served over HTTP. They have no login and show room names, so let your monitoring alone reach them.
	ExposeMetrics bool `env:"CONNECTOR_EXPOSE_METRICS" default:"false"`
	// The port that they are served at.
	MetricsPort int `env:"CONNECTOR_METRICS_PORT" default:"9095" min:"1" max:"65535"`
	// The address that they are served at, such as `127.0.0.1`. All addresses of the machine, unless set, as OpenCTI's own client does.
	MetricsAddress ListenAddress `env:"CONNECTOR_METRICS_ADDRESS" example:"127.0.0.1"`
	// What the names of metrics start with.
	MetricsNamespace MetricName `env:"CONNECTOR_METRICS_NAMESPACE" example:"opencti"`
	// What the names of metrics go on with.
	MetricsSubsystem MetricName `env:"CONNECTOR_METRICS_SUBSYSTEM" example:"matrix"`
}

// Matrix is the account that reads, and what it reads.
type Matrix struct {
	// The homeserver: its URL, or a server name, whose `.well-known` file is then asked.
	Server Homeserver `env:"MATRIX_SERVER" example:"https://matrix.example.org" need:"always"`
	// The bot's full Matrix id, such as `@octi:example.org`.
	UserID UserID `env:"MATRIX_USER_ID" example:"@octi:example.org" need:"always"`
	// The bot's password, used once: its device is kept in the store.
	Password Secret `env:"MATRIX_PASSWORD" need:"login"`
	// Instead of the password: a token made for this connector alone.
	AccessToken Secret `env:"MATRIX_ACCESS_TOKEN"`
	// Client certificate towards the homeserver, as PEM text or the path of a file.
	ClientCert string `env:"MATRIX_CLIENT_CERT" example:"/etc/ssl/connector.pem"`
	// Key of that certificate, as PEM text or the path of a file.
	ClientKey Secret `env:"MATRIX_CLIENT_KEY"`
	// Name of the bot's device, as others see it.
	DeviceName string `env:"MATRIX_DEVICE_NAME" default:"octi_bot"`
	// Recovery key, or security phrase, of the bot's account: with it the device is signed and the key backup opened. Without it rooms may stay dark.
	RecoveryKey Secret `env:"MATRIX_RECOVERY_KEY"`
	// A file, which does not exist yet, for the recovery key of an account that has none: lets a start without a terminal make the account's identity.
	RecoveryKeyOut string `env:"MATRIX_RECOVERY_KEY_OUT" example:"./recovery-key.txt"`
	// Folder of the database and of files on their way. Keep it on a volume: it holds the bot's device.
	StorePath string `env:"MATRIX_STORE_PATH" default:"./store"`
	// Seals what is secret in the store. Without it a key file is made inside the store, and a stolen disk can be read.
	StoreKey Secret `env:"MATRIX_STORE_KEY"`
	// How long the text of a message stays in the store, sealed, once it has landed: a duration such as `P7D`, or `none` to keep it for ever. Ids and states always stay.
	ContentRetention Retention `env:"MATRIX_CONTENT_RETENTION" default:"P7D"`
	// Marking of all that is imported: `CLEAR` (or `WHITE`), `GREEN`, `AMBER`, `AMBER+STRICT`, `RED`.
	TLP TLP `env:"MATRIX_TLP" default:"AMBER"`
	// How far back history is imported: a date, a time, a duration before the start such as `P30D`, or `none` for new messages only.
	ImportStartDate Start `env:"MATRIX_IMPORT_START_DATE" default:"P30D"`
	// Who may invite the bot: Matrix ids or patterns, such as `@alice:example.org,*:example.org`. Nobody, unless set; other invites stay pending.
	InviteFrom SenderPatterns `env:"MATRIX_INVITE_FROM" example:"@alice:example.org,*:example.org"`
	// The rooms to import, by id, main alias or pattern. All rooms of the bot, unless set.
	Rooms RoomPatterns `env:"MATRIX_ROOMS" example:"!abc:example.org,#ops-*:example.org"`
	// Rules for some rooms, in the place of a list of rooms. The first rule that fits a room holds.
	RoomRules []RoomRule `key:"matrix.rooms"`
	// The rooms to leave out, by id, main alias or pattern.
	RoomsExclude RoomPatterns `env:"MATRIX_ROOMS_EXCLUDE" example:"#random:example.org"`
	// The largest file that is fetched; a larger one is described only. `0` fetches none.
	AttachmentMaxSize Bytes `env:"MATRIX_ATTACHMENT_MAX_SIZE" default:"100MiB"`
	// What files on their way may take on the disk; further ones wait until some were delivered. A single larger one still goes.
	SpoolMaxSize Bytes `env:"MATRIX_SPOOL_MAX_SIZE" default:"2GiB"`
	// Media types of the files that are fetched, such as `image/*,application/pdf`. All, unless set.
	AttachmentTypes MediaPatterns `env:"MATRIX_ATTACHMENT_TYPES" example:"image/*,application/pdf"`
	// Let the platform's own file importers run on attachments.
	AutoImportFiles bool `env:"MATRIX_AUTO_IMPORT_FILES" default:"false" for:"platform"`
	// What becomes of a message that is deleted in Matrix: `mask` replaces its text by a notice and removes its files, `delete` deletes the object, `keep` keeps it, with the label `redacted` and a line in its description.
	Redactions Redactions `env:"MATRIX_REDACTIONS" default:"mask"`
	// What a link to a message starts with.
	PermalinkBase Permalink `env:"MATRIX_PERMALINK_BASE" default:"https://matrix.to/#/"`
	// Log HTTP traffic with the homeserver: method, path, status and time, never bodies or tokens. Sets the log level to `debug`.
	Debug bool `env:"MATRIX_DEBUG" default:"false"`
}

// MQ overrides what the platform says about its broker when the connector
// registers. None of it is usually needed.
type MQ struct {
	// The broker's host, where it is not the one that the platform names.
	Host string `env:"MQ_HOST" example:"rabbitmq.example.org" for:"platform"`
	// The broker's port.
	Port int `env:"MQ_PORT" example:"5671" min:"1" max:"65535" for:"platform"`
	// The broker's virtual host.
	VHost string `env:"MQ_VHOST" example:"/" for:"platform"`
	// Whether the broker is spoken to over TLS.
	UseSSL *bool `env:"MQ_USE_SSL" example:"true" for:"platform"`
	// User at the broker.
	User string `env:"MQ_USER" example:"connector" for:"platform"`
	// Password at the broker.
	Pass Secret `env:"MQ_PASS" for:"platform"`
	// Certificates to trust, as PEM text or the path of a file.
	SSLCA string `env:"MQ_USE_SSL_CA" example:"/etc/ssl/private-ca.pem" for:"platform"`
	// Client certificate, as PEM text or the path of a file.
	SSLCert string `env:"MQ_USE_SSL_CERT" example:"/etc/ssl/connector.pem" for:"platform"`
	// Key of the client certificate, as PEM text or the path of a file.
	SSLKey Secret `env:"MQ_USE_SSL_KEY" for:"platform"`
	// Passphrase of that key.
	SSLPassphrase Secret `env:"MQ_USE_SSL_PASSPHRASE" for:"platform"`
	// Whether a broker whose certificate cannot be verified is refused.
	SSLRejectUnauthorized bool `env:"MQ_USE_SSL_REJECT_UNAUTHORIZED" default:"true" for:"platform"`
}

// Network is how HTTP gets out. It has variables only, in capitals or small
// letters, with the meaning that they have everywhere. A proxy's URL may hold a
// password, so it is a secret.
type Network struct {
	// Proxy for plain HTTP.
	HTTPProxy Secret `env:"HTTP_PROXY,http_proxy"`
	// Proxy for HTTPS.
	HTTPSProxy Secret `env:"HTTPS_PROXY,https_proxy"`
	// Hosts that are reached without a proxy.
	NoProxy string `env:"NO_PROXY,no_proxy"`
	// Certificates to trust beside the system's, as PEM text or the path of a file.
	CACertificates string `env:"HTTPS_CA_CERTIFICATES"`
}
