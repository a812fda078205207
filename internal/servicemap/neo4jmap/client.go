package neo4jmap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"
	"github.com/neo4j/neo4j-go-driver/v5/neo4j/config"

	"github.com/tracewright/tracewright/internal/servicemap"
)

const (
	// retryTime is how long a transaction is repeated that lost its connection, or a deadlock with what others do in the same database, and
	// retryPause at most how long it waits. Whoever calls repeats what takes longer, and tells of it meanwhile. The driver itself begins with
	// a pause of a second.
	retryTime  = 2 * time.Second
	retryPause = 100 * time.Millisecond
	// closeTimeout bounds giving a connection back.
	closeTimeout = time.Second
	// chunk is the most rows of one statement.
	chunk = 5000
)

// client is a pool of connections.
type client struct {
	driver neo4j.DriverWithContext
	config *ClientConfig
}

// connect makes the pool. It connects to nothing yet.
//
// The driver sets up its way to connect with its first connection, without a lock, which is a race where two calls make the first
// connections of bolt:// at once. So connect asks for one itself, with a context that is over; a routed neo4j:// asks under a lock.
func connect(ctx context.Context, c *ClientConfig) (*client, error) {
	uri, secure, err := c.target(ctx)
	if err != nil {
		return nil, err
	}
	auth := neo4j.NoAuth()
	if c.Username != "" {
		auth = neo4j.BasicAuth(c.Username, string(c.Password), "")
	}
	driver, err := neo4j.NewDriverWithContext(uri, auth, func(d *config.Config) {
		d.MaxTransactionRetryTime = time.Nanosecond
		d.SocketConnectTimeout = c.ConnectTimeout
		d.ConnectionAcquisitionTimeout = c.ConnectTimeout
		d.UserAgent = "tracewright"
		d.TelemetryDisabled = true
		if secure != nil {
			d.TlsConfig = secure
		}
	})
	if err != nil {
		return nil, fmt.Errorf("neo4j::uri: %w", err)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	_ = driver.VerifyConnectivity(over) // always fails
	return &client{driver, c}, nil
}

// target is the URI with the scheme that the driver wants where TLS is configured, and the configuration of TLS, nil for the
// system's.
func (c *ClientConfig) target(ctx context.Context) (uri string, secure *tls.Config, err error) {
	if !c.TLS.HasValue() {
		return c.URI, nil, nil
	}
	if secure, err = c.TLS.Get().LoadTLSConfig(ctx); err != nil {
		return "", nil, fmt.Errorf("neo4j::tls: %w", err)
	}
	if secure == nil { // insecure: true
		return c.URI, nil, nil
	}
	u, err := url.Parse(c.URI)
	if err != nil {
		return "", nil, fmt.Errorf("neo4j::uri: %w", err)
	}
	scheme, _, _ := strings.Cut(u.Scheme, "+")
	u.Scheme = scheme + "+s"
	switch {
	case secure.InsecureSkipVerify:
		u.Scheme = scheme + "+ssc"
	case secure.ServerName != "": // the driver would look for the name that the URI has; it is not to look, and we do
		u.Scheme = scheme + "+ssc"
		secure.VerifyConnection = verify(secure.RootCAs, secure.ServerName)
	}
	return u.String(), secure, nil
}

// verify checks the certificates of a server as crypto/tls does, by another name than that by which it is reached.
func verify(roots *x509.CertPool, name string) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error { // a server without a certificate does not come this far
		options := x509.VerifyOptions{Roots: roots, DNSName: name, Intermediates: x509.NewCertPool()}
		for _, c := range state.PeerCertificates[1:] {
			options.Intermediates.AddCert(c)
		}
		_, err := state.PeerCertificates[0].Verify(options)
		return err
	}
}

func (c *client) close(ctx context.Context) error { return c.driver.Close(ctx) }

// transaction runs work until it is committed, or fails for another reason than a deadlock or a lost connection. What the server
// committed before its connection was lost comes back as an error. work returns errors of the driver as they are: it knows them by
// their types.
func (c *client) transaction(ctx context.Context, mode neo4j.AccessMode, work func(tx *transaction) error) error {
	session := c.driver.NewSession(ctx, neo4j.SessionConfig{AccessMode: mode, DatabaseName: c.config.Database})
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		_ = session.Close(closing) // what there was to say, the transaction said
	}()
	execute := session.ExecuteWrite
	if mode == neo4j.AccessModeRead {
		execute = session.ExecuteRead
	}
	var limit []func(*neo4j.TransactionConfig)
	if end, bounded := ctx.Deadline(); bounded { // so that the server gives up too
		limit = append(limit, neo4j.WithTxTimeout(max(time.Millisecond, time.Until(end).Truncate(time.Millisecond))))
	}
	for began := time.Now(); ; {
		_, err := execute(ctx, func(tx neo4j.ManagedTransaction) (any, error) {
			return nil, work(&transaction{ctx, tx})
		}, limit...)
		var again *neo4j.TransactionExecutionLimit // the driver would repeat it, if it were let
		if !errors.As(err, &again) || time.Since(began) > retryTime {
			return c.explain(ctx, err)
		}
		select {
		case <-time.After(rand.N(retryPause)):
		case <-ctx.Done():
			return c.explain(ctx, err)
		}
	}
}

// transaction is one that runs.
type transaction struct {
	ctx context.Context // of the whole transaction
	tx  neo4j.ManagedTransaction
}

// run runs a statement and hands each record to each, which may be nil.
func (t *transaction) run(statement string, parameters map[string]any, each func(r record)) error {
	result, err := t.tx.Run(t.ctx, statement, parameters)
	if err != nil {
		return err
	}
	for result.Next(t.ctx) {
		if each != nil {
			each(record{result.Record()})
		}
	}
	return result.Err()
}

// record reads columns. A value of another type than asked for is zero.
type record struct{ *neo4j.Record }

func (r record) text(column string) string {
	v, _ := r.Get(column)
	s, _ := v.(string)
	return s
}

func (r record) number(column string) int64 {
	v, _ := r.Get(column)
	n, _ := v.(int64)
	return n
}

func (r record) is(column string) bool {
	v, _ := r.Get(column)
	b, _ := v.(bool)
	return b
}

// explain says what to mend. The result is servicemap.ErrUnavailable where the server does not answer or refuses.
func (c *client) explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return errors.Join(ctx.Err(), err)
	case ctx.Err() != nil:
		return fmt.Errorf("Neo4j at %s has not answered in time: %w", c.config.URI, errors.Join(ctx.Err(), err))
	}
	last, limit := err, (*neo4j.TransactionExecutionLimit)(nil)
	if errors.As(err, &limit) && len(limit.Errors) > 0 {
		last = limit.Errors[len(limit.Errors)-1]
	}
	var refused *neo4j.Neo4jError
	var lost *neo4j.ConnectivityError
	switch {
	case errors.As(last, &refused) && strings.HasPrefix(refused.Code, "Neo.ClientError.Security."):
		return fmt.Errorf("%w: Neo4j at %s refuses the user %q; check neo4j::username and neo4j::password: %w",
			servicemap.ErrUnavailable, c.config.URI, c.config.Username, err)
	case errors.As(last, &refused) && refused.Code == "Neo.ClientError.Database.DatabaseNotFound":
		return fmt.Errorf("%w: Neo4j at %s has no database %q; check neo4j::database: %w",
			servicemap.ErrUnavailable, c.config.URI, c.config.Database, err)
	case errors.As(last, &refused) && (strings.HasPrefix(refused.Code, "Neo.ClientError.Schema.") || refused.Code == "Neo.DatabaseError.Schema.ConstraintCreationFailed"):
		return fmt.Errorf("%w: Neo4j at %s does not make the schema that is needed; mend what it says: %w", servicemap.ErrUnavailable, c.config.URI, err)
	case limit != nil && errors.As(last, &refused): // it starts, or another one of the cluster leads now
		return fmt.Errorf("%w: Neo4j at %s does not take it for now: %w", servicemap.ErrUnavailable, c.config.URI, err)
	case limit != nil, errors.As(last, &lost): // a lost connection may be whatever reading from it answered
		return fmt.Errorf("%w: Neo4j at %s cannot be reached; check that it runs, and neo4j::uri: %w", servicemap.ErrUnavailable, c.config.URI, err)
	}
	return fmt.Errorf("Neo4j at %s: %w", c.config.URI, err)
}
