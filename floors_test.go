// Package cairn has no code of its own: at the root stands only the test that
// holds the layout of the repository.
package cairn

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// floors is the table of docs/code-map.md: a package imports only from floors
// strictly below its own. One that needs something from above has that thing in
// the wrong place.
var floors = map[string]int{
	"types":               0,
	"internal/jsonobject": 0,
	"accounts":            1,
	"history":             1,
	"api/client":          1,
	"consensus":           2,
	"store":               3,
	"mempool":             3,
	"wallet":              3,
	"proof":               3,
	"chain":               4,
	"chain/chaintest":     5,
	"syncer":              5,
	"miner":               5,
	"miner/sha256d":       1,
	"archive":             5,
	"p2p":                 6,
	"api":                 7,
	"node":                8,
	"bench":               8,
	"bench/fill":          9,
	"cmd/cairn":           9,
	"internal/naive":      testsOnly,
	"internal/testutil":   testsOnly,
}

// testsOnly is above everything: only test files import such a package.
const testsOnly = 100

// impure are the packages of the standard library that bring a clock, a log, a
// goroutine's context or the outside world; rules and plain data use none.
var impure = []string{"context", "log", "log/slog", "math/rand", "math/rand/v2", "net", "net/http", "os", "time"}

func TestFloors(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, "cairn/")
		floor, ok := floors[name]
		if !ok && p.ImportPath != "cairn" {
			t.Errorf("%s has no floor: give it one here and in docs/code-map.md", name)
		}
		for _, imp := range p.Imports {
			if room, ours := strings.CutPrefix(imp, "cairn/"); ours && floors[room] >= floor {
				t.Errorf("%s (floor %d) imports %s (floor %d)", name, floor, room, floors[room])
			}
			if (floor <= 2 && name != "api/client" || name == "mempool") && slices.Contains(impure, imp) {
				t.Errorf("%s is pure, but imports %s", name, imp)
			}
		}
	}
}
