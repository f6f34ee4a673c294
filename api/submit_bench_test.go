package api

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"

	"cairn/api/client"
	"cairn/chain/chaintest"
)

// BenchmarkSubmit submits signed transfers from sixteen callers without connections
// or a disk.
func BenchmarkSubmit(b *testing.B) {
	crowd := chaintest.NewCrowd(1000)
	n := newNode(b, nodeConfig{rules: crowd.Rules, recipient: crowd.Account(0)})
	var bodies [][]byte
	for len(bodies) < b.N {
		for _, t := range crowd.Next().Transfers {
			body, err := json.Marshal(client.Submission{
				Sender: crowd.Rules.FormatAccount(t.Sender), Recipient: crowd.Rules.FormatAccount(t.Recipient), Amount: t.Amount, Fee: t.Fee,
				Expiry: t.Expiry, Salt: strconv.FormatUint(t.Salt, 10), Signature: hex.EncodeToString(t.Signature[:]),
			})
			if err != nil {
				b.Fatal(err)
			}
			bodies = append(bodies, body)
		}
	}
	var next atomic.Int64
	b.SetParallelism(8)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			body := bodies[next.Add(1)-1]
			r := httptest.NewRequest(http.MethodPost, "/v1/transactions", io.NopCloser(bytes.NewReader(body)))
			r.Host, r.ContentLength = "localhost", int64(len(body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			n.handler.ServeHTTP(w, r)
			if w.Code != http.StatusCreated {
				b.Error(w.Code, w.Body)
			}
		}
	})
}
