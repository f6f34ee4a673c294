package bench

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"cairn/api/client"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/types"
)

// perRequest is how many transfers a batch has.
const perRequest = 100

// submissions: signed transfers that are checked and on disk when they are answered, one
// a request and in batches, over sixteen connections.
func (r *run) submissions() error {
	rates, err := r.signatureRates()
	if err != nil {
		return err
	}
	crowd := chaintest.NewCrowd(min(r.accounts, 1000))
	genesis := filepath.Join(r.dir, "crowd.json")
	if err := os.WriteFile(genesis, crowd.Rules.JSON(), 0o600); err != nil {
		return err
	}
	const bound = "signatures alone, all cores"
	for _, c := range []struct {
		what  string
		each  int // transfers in a request
		build func(address string, rules *consensus.Rules, ts []types.Transfer) []byte
	}{
		{"POST /v1/transactions, 16 connections", 1, oneAsJSON},
		{"POST /v1/transactions/stream, batches of 100 lines, 16 connections", perRequest, batchAsLines},
		{"POST /v1/transactions/stream, batches of 100 encodings, 16 connections", perRequest, batchAsBytes},
	} {
		var transfers []types.Transfer
		for i := range r.submitBlocks {
			r.progress("signing transfers", i, r.submitBlocks)
			transfers = append(transfers, crowd.Next().Transfers...)
		}
		err := r.withNode(func(p *process) error {
			var requests [][]byte
			for ; len(transfers) >= c.each; transfers = transfers[c.each:] {
				requests = append(requests, c.build(p.address(), crowd.Rules, transfers[:c.each]))
			}
			got, err := r.pressEach("submit", p.address(), 16, inTurn(requests))
			if err != nil {
				return err
			}
			r.rate("submit", c.what, "/s", got.rate*float64(c.each), bound, rates.library)
			r.plain("submit", c.what+", p50", "ms", milliseconds(got.p50))
			r.plain("submit", c.what+", p99", "ms", milliseconds(got.p99))
			return nil
		}, "--network", genesis, "--min-fee-rate", "0", "--per-account", "0", "--pool-size", "1024")
		if err != nil {
			return err
		}
	}
	return nil
}

// inTurn hands out requests one after another, to whoever asks; nil at the end.
func inTurn(requests [][]byte) func() []byte {
	var next atomic.Int64
	return func() []byte {
		if i := int(next.Add(1)) - 1; i < len(requests) {
			return requests[i]
		}
		return nil
	}
}

func submission(rules *consensus.Rules, t *types.Transfer) []byte {
	b, err := json.Marshal(client.Submission{
		Sender: rules.FormatAccount(t.Sender), Recipient: rules.FormatAccount(t.Recipient), Amount: t.Amount, Fee: t.Fee,
		Expiry: t.Expiry, Salt: strconv.FormatUint(t.Salt, 10), Signature: hex.EncodeToString(t.Signature[:]),
	})
	if err != nil { // texts and numbers always marshal
		panic(err)
	}
	return b
}

func oneAsJSON(address string, rules *consensus.Rules, ts []types.Transfer) []byte {
	return requestOf(http.MethodPost, address, "/v1/transactions", "application/json", submission(rules, &ts[0]))
}

func batchAsLines(address string, rules *consensus.Rules, ts []types.Transfer) []byte {
	var body []byte
	for i := range ts {
		body = append(append(body, submission(rules, &ts[i])...), '\n')
	}
	return requestOf(http.MethodPost, address, "/v1/transactions/stream", "application/x-ndjson", body)
}

func batchAsBytes(address string, _ *consensus.Rules, ts []types.Transfer) []byte {
	var body []byte
	for i := range ts {
		body = binary.LittleEndian.AppendUint16(body, uint16(ts[i].Size()))
		body = ts[i].Append(body)
	}
	return requestOf(http.MethodPost, address, "/v1/transactions/stream", "application/octet-stream", body)
}

// read: what applications ask for again and again, beside a server that has the same
// bytes ready, and pages of a hundred blocks near both ends of the chain.
func (r *run) read() error {
	dir, err := r.tenEach()
	if err != nil {
		return err
	}
	p, err := r.launch("--data", dir)
	if err != nil {
		return err
	}
	defer p.stop()
	c, err := client.New(p.url, client.Options{})
	if err != nil {
		return err
	}
	block, err := c.Block(r.ctx, strconv.Itoa(r.blocks/2))
	if err != nil {
		return err
	}
	transfer := block.Transfers[0]
	for _, what := range []struct{ name, path string }{
		{"a block", "/v1/blocks/" + block.Hash.String()},
		{"a transaction", "/v1/transactions/" + transfer.ID.String()},
		{"an account", "/v1/accounts/" + transfer.Sender},
	} {
		bytes, err := fetch(r.ctx, p.url+what.path)
		if err != nil {
			return err
		}
		var most load
		err = echo(bytes, func(address string) (err error) {
			most, err = r.press("echo", address, 16, request(http.MethodGet, address, what.path, ""))
			return err
		})
		if err != nil {
			return err
		}
		got, err := r.press("read", p.address(), 16, request(http.MethodGet, p.address(), what.path, ""))
		if err != nil {
			return err
		}
		r.rate("read", "GET "+what.name+", 16 connections", "/s", got.rate, "an echo server with the same bytes", most.rate)
	}
	for _, height := range []int{100, r.blocks / 2, r.blocks} {
		path := fmt.Sprintf("/v1/blocks?cursor=%d&limit=100", height)
		got, err := r.press("read", p.address(), 1, request(http.MethodGet, p.address(), path, ""))
		if err != nil {
			return err
		}
		r.plain("read", fmt.Sprintf("GET 100 blocks of 10 below height %d, p50", height), "ms", milliseconds(got.p50))
	}
	return nil
}

// events: what readers of events cost that wait at the tip, and how long a block
// takes to reach them all.
func (r *run) events() error {
	return r.withNode(func(p *process) error {
		before := p.memory()
		heard := make(chan error, r.readers)
		for i := range r.readers {
			r.progress("connecting readers", i, r.readers)
			conn, answers, err := openStream(p.address())
			if err != nil {
				return err
			}
			defer conn.Close()
			go func() {
				_, err := answers.ReadString('}') // the block
				heard <- err
			}()
		}
		time.Sleep(min(settle, r.load))
		if after := p.memory(); after > 0 {
			r.plain("events", fmt.Sprintf("memory for each of %d readers", r.readers), "KiB", (float64(after)-float64(before))/1024/float64(r.readers))
		}
		start := time.Now()
		if _, err := get(r.ctx, p.url+"/mine"); err != nil {
			return err
		}
		for range r.readers {
			if err := <-heard; err != nil {
				return err
			}
		}
		r.plain("events", fmt.Sprintf("from asking for a block until %d readers have heard of it", r.readers), "ms", milliseconds(time.Since(start)))
		return nil
	})
}
