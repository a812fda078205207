package testservers_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/neo4j/neo4j-go-driver/v5/neo4j"
	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/testservers"
)

func TestClickHouse(t *testing.T) {
	s := testservers.StartClickHouse(t)
	options, err := clickhouse.ParseDSN(s.DSN())
	require.NoError(t, err)
	rows := func() (count uint64) {
		db, err := clickhouse.Open(options)
		require.NoError(t, err)
		defer db.Close()
		require.NoError(t, db.QueryRow(t.Context(), "SELECT count() FROM numbers").Scan(&count))
		return count
	}
	db, err := clickhouse.Open(options)
	require.NoError(t, err)
	require.NoError(t, db.Exec(t.Context(), "CREATE TABLE numbers (n UInt64) ENGINE = MergeTree ORDER BY n"))
	require.NoError(t, db.Exec(t.Context(), "INSERT INTO numbers SELECT number FROM numbers(1000)"))
	require.NoError(t, db.Close())
	require.EqualValues(t, 1000, rows())

	require.NoError(t, s.Stop())
	require.NoError(t, s.Start(t.Context()))
	require.EqualValues(t, 1000, rows(), "after a stop")
	require.NoError(t, s.Kill())
	require.NoError(t, s.Start(t.Context()))
	require.EqualValues(t, 1000, rows(), "after a crash")

	wrong := url.URL{Scheme: "http", Host: s.HTTP, User: url.UserPassword(testservers.ClickHouseUser, "wrong"), RawQuery: "query=SELECT+1"}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, wrong.String(), http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, response.StatusCode, string(body))
}

func TestNeo4j(t *testing.T) {
	s := testservers.StartNeo4j(t)
	query := func(password, text string) (*neo4j.EagerResult, error) {
		driver, err := neo4j.NewDriverWithContext(s.URI(), neo4j.BasicAuth(testservers.Neo4jUser, password, ""))
		require.NoError(t, err)
		defer driver.Close(t.Context())
		return neo4j.ExecuteQuery(t.Context(), driver, text, nil, neo4j.EagerResultTransformer)
	}
	_, err := query(testservers.Neo4jPassword, "CREATE (:Service {name: 'cart'})")
	require.NoError(t, err)
	_, err = query("wrong", "RETURN 1")
	require.ErrorContains(t, err, "Unauthorized")
	require.NoError(t, s.Kill())
	require.NoError(t, s.Start(t.Context()))
	result, err := query(testservers.Neo4jPassword, "MATCH (s:Service) RETURN s.name AS name")
	require.NoError(t, err)
	require.Len(t, result.Records, 1)
	require.Equal(t, "cart", result.Records[0].AsMap()["name"])
}

// What sends to Kafka is tested where it is used.
func TestKafka(t *testing.T) {
	s := testservers.StartKafka(t)
	require.True(t, strings.HasPrefix(s.Broker, "127.0.0.1:"))
	require.NoError(t, s.Kill())
	require.NoError(t, s.Start(t.Context()))
}
