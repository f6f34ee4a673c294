package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"cairn/api/client"
	"cairn/chain/chaintest"
	"cairn/types"
)

// addTenEach adds blocks of ten transfers each to a new node's chain.
func addTenEach(t testing.TB, n *testNode, count int) {
	t.Helper()
	builder := chaintest.New(n.chain.Rules())
	parent := chaintest.Genesis
	var blocks []*types.Block
	for i := range count {
		var transfers []types.Transfer
		for j := range 10 {
			transfers = append(transfers, types.Transfer{
				Sender: types.Account(fmt.Sprintf("%032x", j)), Recipient: types.Account(fmt.Sprintf("%032x", i)),
				Amount: uint64(i*j) * 12_345, Expiry: 1_000_000, Salt: uint64(i),
			})
		}
		name := fmt.Sprint(i)
		blocks = append(blocks, builder.Add(name, parent, chaintest.Spec{Transfers: transfers, Interval: 1}))
		parent = name
	}
	if err := n.chain.AddBlocks(t.Context(), blocks); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkChain answers GET /chain for 1,000 blocks of ten transfers each.
func BenchmarkChain(b *testing.B) {
	n := newNode(b, nodeConfig{})
	addTenEach(b, n, 1_000)
	r := httptest.NewRequest(http.MethodGet, "/chain", nil)
	r.Host = "localhost"
	b.ReportAllocs()
	for b.Loop() {
		w := &counter{header: http.Header{}}
		n.handler.ServeHTTP(w, r)
		b.SetBytes(w.bytes)
	}
}

// counter takes an answer and forgets it.
type counter struct {
	header http.Header
	bytes  int64
}

func (c *counter) Header() http.Header         { return c.header }
func (c *counter) WriteHeader(int)             {}
func (c *counter) Write(b []byte) (int, error) { c.bytes += int64(len(b)); return len(b), nil }

// BenchmarkReads answers what applications ask for again and again, without a
// connection.
func BenchmarkReads(b *testing.B) {
	n := newNode(b, nodeConfig{})
	addTenEach(b, n, 1_000)
	block := decode[client.BlockData](n.get("/v1/blocks/500"))
	for _, c := range []struct{ name, path string }{
		{"health", "/healthz"},
		{"status", "/v1/status"},
		{"block", "/v1/blocks/" + block.Hash.String()},
		{"transaction", "/v1/transactions/" + block.Transfers[3].ID.String()},
		{"account", "/v1/accounts/" + block.Transfers[3].Recipient},
		{"page of 100 blocks", "/v1/blocks?cursor=700&limit=100"},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, c.path, nil)
			r.Host = "localhost"
			b.ReportAllocs()
			for b.Loop() {
				w := &counter{header: http.Header{}}
				n.handler.ServeHTTP(w, r)
				if w.bytes == 0 {
					b.Fatal("no answer")
				}
			}
		})
	}
}
