package policy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A requirement that is called built names tests, and every test that is named exists.
func TestRequirementsNameTestsThatExist(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "docs", "requirements.md"))
	require.NoError(t, err)
	row := regexp.MustCompile(`(?m)^\| (\w+) \| (.+) \| (\w+) \| (.*) ?\|$`)
	rows := row.FindAllStringSubmatch(string(content), -1)
	ids := map[string]bool{}
	for _, cells := range rows {
		id, state, shown := cells[1], cells[3], strings.TrimSpace(cells[4])
		if id == "id" {
			continue
		}
		require.False(t, ids[id], "%s stands twice", id)
		ids[id] = true
		require.Contains(t, []string{"built", "part", "planned"}, state, id)
		require.Equal(t, state == "planned", shown == "", "%s: what is planned shows nothing, anything else names its tests", id)
		for name := range strings.SplitSeq(shown, ", ") {
			if folder, test, ok := strings.Cut(name, ":"); ok {
				require.True(t, hasTest(t, folder, test), "%s: %s does not exist", id, name)
			} else {
				require.Empty(t, name, "%s: name a test as folder:TestName", id)
			}
		}
	}
	require.GreaterOrEqual(t, len(ids), 50, "the table was not read")
}

func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
	require.NoError(t, err)
	return slices.ContainsFunc(files, func(file string) bool {
		content, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(content), "\nfunc "+name+"(t *testing.T)")
	})
}
