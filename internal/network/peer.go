package network

// Peer is whom a connection leads to (closed set).
type Peer string

// The peers.
const (
	PeerHomeserver Peer = "homeserver"
	PeerPlatform   Peer = "platform"
	PeerBroker     Peer = "broker"
)

// variables are the settings of a peer, as hints name them.
type variables struct {
	address string // where it is
	port    string // at which port it is
	trust   string // who may vouch for it
	client  string // what we show of ourselves
	plain   string // how to speak without TLS
	secure  string // how to speak with TLS
}

func (p Peer) variables() variables {
	switch p {
	case PeerHomeserver:
		return variables{
			address: "MATRIX_SERVER", port: "in it the port", trust: "HTTPS_CA_CERTIFICATES (PEM text or a file)", client: "MATRIX_CLIENT_CERT and MATRIX_CLIENT_KEY",
			plain: "write http:// in MATRIX_SERVER", secure: "write https:// in MATRIX_SERVER",
		}
	case PeerPlatform:
		return variables{
			address: "OPENCTI_URL", port: "in it the port", trust: "HTTPS_CA_CERTIFICATES (PEM text or a file) or OPENCTI_SSL_VERIFY (a file)", client: "OPENCTI_CLIENT_CERT and OPENCTI_CLIENT_KEY",
			plain: "write http:// in OPENCTI_URL", secure: "write https:// in OPENCTI_URL",
		}
	case PeerBroker:
		return variables{
			address: "MQ_HOST and MQ_PORT", port: "in MQ_PORT the port", trust: "MQ_USE_SSL_CA (PEM text or a file)", client: "MQ_USE_SSL_CERT and MQ_USE_SSL_KEY",
			plain: "set MQ_USE_SSL=false", secure: "set MQ_USE_SSL=true",
		}
	}
	return variables{}
}
