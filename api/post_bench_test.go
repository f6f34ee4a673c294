package api

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkCreateTransaction submits a transfer without a connection or a disk:
// what is left is the work of the node.
func BenchmarkCreateTransaction(b *testing.B) {
	n := newNode(b, nodeConfig{})
	body := []byte(`{"sender": "addr1", "recipient": "addr2", "amount": 3}`)
	r := httptest.NewRequest(http.MethodPost, "/create-transaction", nil)
	r.Host, r.ContentLength = "localhost", int64(len(body))
	r.Header.Set("Content-Type", "application/json")
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(bytes.NewReader(body))
		w := &counter{header: http.Header{}}
		n.handler.ServeHTTP(w, r)
		if w.bytes == 0 {
			b.Fatal("no answer")
		}
	}
}
