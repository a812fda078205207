package neo4jmap

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/confmap"
)

// DefaultConnectTimeout is ClientConfig.ConnectTimeout's default.
const DefaultConnectTimeout = 5 * time.Second

// ClientConfig says how Neo4j is reached. It is a section of components' configurations.
type ClientConfig struct {
	// URI is bolt://HOST:7687 for one server, or neo4j://HOST:7687 for a cluster, which it then knows the servers of. With +s
	// behind the scheme the connection is encrypted, as it is with TLS. Required.
	URI string `mapstructure:"uri"`
	// Username and Password are those of a user of Neo4j. Both empty for a server without authentication.
	Username string              `mapstructure:"username"`
	Password configopaque.String `mapstructure:"password"`
	// Database is the database's name. Default: the user's home database, which is neo4j unless changed.
	Database string `mapstructure:"database"`
	// TLS encrypts the connection: ca_file, cert_file, key_file, insecure_skip_verify, server_name_override and the rest of configtls.
	// Default: none, unless the URI says so.
	TLS configoptional.Optional[configtls.ClientConfig] `mapstructure:"tls"`
	// ConnectTimeout bounds connecting, and waiting for a free connection. Default 5s; must be positive.
	ConnectTimeout time.Duration `mapstructure:"connect_timeout"`
}

// NewDefaultClientConfig has the defaults.
func NewDefaultClientConfig() ClientConfig {
	return ClientConfig{ConnectTimeout: DefaultConnectTimeout, TLS: configoptional.Default(configtls.NewDefaultClientConfig())}
}

// Unmarshal sets the defaults, which a map's values cannot have otherwise.
func (c *ClientConfig) Unmarshal(conf *confmap.Conf) error {
	*c = NewDefaultClientConfig()
	return conf.Unmarshal(c)
}

var schemes = []string{"bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc"}

// Validate reports all faults, one line each.
func (c *ClientConfig) Validate() error {
	var errs []error
	u, err := url.Parse(c.URI)
	switch {
	case c.URI == "":
		errs = append(errs, errors.New("uri: is empty; name the server, for example bolt://localhost:7687"))
	case err != nil:
		errs = append(errs, fmt.Errorf("uri: %q is no URI; use for example bolt://localhost:7687", c.URI))
	case !slices.Contains(schemes, u.Scheme) || u.Host == "":
		errs = append(errs, fmt.Errorf("uri: %q is not of Neo4j; use bolt://HOST:7687, or neo4j://HOST:7687 for a cluster", c.URI))
	case u.User != nil:
		errs = append(errs, errors.New("uri: has a user; name it in username and password instead"))
	case c.TLS.HasValue() && c.TLS.Get().Insecure && strings.Contains(u.Scheme, "+"):
		errs = append(errs, fmt.Errorf("tls::insecure: is true, and uri asks for encryption (%s); change one of them", u.Scheme))
	}
	if c.Username == "" && c.Password != "" {
		errs = append(errs, errors.New("username: is empty, and password is not; set both or neither"))
	}
	if c.ConnectTimeout <= 0 {
		errs = append(errs, fmt.Errorf("connect_timeout: must be positive, not %s", c.ConnectTimeout))
	}
	return errors.Join(errs...)
}
