package syncer

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cairn/consensus"
	"cairn/types"
)

func TestServeGenesis(t *testing.T) {
	n := newNetwork(t, nil)
	w := n.node().ask("GET", genesisPath)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != mediaType || w.Header().Get("Content-Length") != strconv.Itoa(w.Body.Len()) {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if !bytes.Equal(w.Body.Bytes(), n.rules.JSON()) {
		t.Errorf("%s", w.Body)
	}
}

// fetchGenesis asks a node for the genesis file that n's chain begins with.
func (n *network) fetchGenesis(address string) (*consensus.Rules, error) {
	carrier := newTransport()
	defer carrier.CloseIdleConnections()
	carrier.DialContext = n.dial
	return FetchGenesis(n.t.Context(), carrier, address, n.rules.ChainID())
}

// More accounts than a stranger is asked for at once, to be sure that the file is
// longer than what is written in one piece.
func TestFetchGenesis(t *testing.T) {
	for _, accounts := range []int{0, 5000} {
		n := newNetwork(t, func(r *consensus.Rules) {
			for i := range accounts {
				r.Allocations = append(r.Allocations, consensus.Allocation{Account: types.Account("account " + strconv.Itoa(i)), Amount: 1})
			}
		})
		rules, err := n.fetchGenesis(n.host("x", n.node().Handler()))
		if err != nil || !bytes.Equal(rules.JSON(), n.rules.JSON()) {
			t.Errorf("%d accounts: %v", accounts, err)
		}
	}
}

// What comes instead of the file that was asked for is an error that says so, in
// bounded time and memory.
func TestFetchGenesisRefuses(t *testing.T) {
	written := 0
	for _, c := range []struct {
		name   string
		answer func(w http.ResponseWriter, r *http.Request, file []byte)
		says   string
	}{
		{"another network", func(w http.ResponseWriter, _ *http.Request, file []byte) {
			w.Write(bytes.Replace(file, []byte("TEST"), []byte("REST"), 1))
		}, "is of another network, or it lies"},
		{"without end", func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			for _, err := w.Write([]byte("{")); err == nil; {
				_, err = w.Write(bytes.Repeat([]byte(" "), 64<<10))
				written += 64 << 10
			}
		}, "more than 16777216 bytes"},
		{"a field with a long name", func(w http.ResponseWriter, _ *http.Request, file []byte) {
			w.Write(bytes.Replace(file, []byte("{"), []byte(`{"`+strings.Repeat("x", 1<<20)+`": 1,`), 1))
		}, "unknown field"},
		{"an answer that breaks off", func(w http.ResponseWriter, _ *http.Request, file []byte) {
			w.Header().Set("Content-Length", strconv.Itoa(len(file)))
			w.Write(file[:len(file)-1])
		}, "unexpected EOF"},
		{"a byte a second", func(w http.ResponseWriter, r *http.Request, file []byte) {
			trickle(w, r, file, time.Second)
		}, "slow: "},
		{"steady, and too slow", func(w http.ResponseWriter, r *http.Request, _ []byte) {
			for r.Context().Err() == nil {
				w.Write(bytes.Repeat([]byte(" "), 128<<10))
				time.Sleep(20 * time.Second)
			}
		}, "slow: "},
		{"a node without this call", func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			problem(w, http.StatusNotFound, "there is nothing at this path")
		}, "answers 404"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request, _ []byte) {
			http.Redirect(w, r, "http://elsewhere"+genesisPath, http.StatusFound)
		}, "redirects: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, nil)
				address := n.host("x", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", mediaType)
					c.answer(w, r, n.rules.JSON())
				}))
				_, err := n.fetchGenesis(address)
				if err == nil || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 500 {
					t.Fatalf("%.500v", err)
				}
				if strings.Contains(c.says, "network") && !strings.Contains(err.Error(), n.rules.ChainID().String()) {
					t.Errorf("does not say what was asked for: %v", err)
				}
			})
			if written > maxGenesis+1<<20 {
				t.Errorf("%d bytes were taken", written)
			}
		})
	}
}

// A file that is cut at any byte is never taken for a whole one, though the answer
// looks whole.
func TestFetchGenesisTruncated(t *testing.T) {
	n := newNetwork(t, nil)
	file := bytes.TrimSpace(n.rules.JSON())
	cut := 0
	address := n.host("x", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		w.Write(file[:cut])
	}))
	for ; cut < len(file); cut++ {
		if _, err := n.fetchGenesis(address); err == nil {
			t.Errorf("cut after %d bytes", cut)
		}
	}
	if _, err := n.fetchGenesis(address); err != nil {
		t.Errorf("whole: %v", err)
	}
}
