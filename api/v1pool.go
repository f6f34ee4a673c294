package api

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"cairn/api/client"
	"cairn/mempool"
	"cairn/types"
)

// registerPool registers the calls about what waits.
func (d *docs) registerPool() {
	s := d.s
	call(d, d.answers(get("/v1/pool", "list-pool", tagMoney, "The pending transfers, those that pay most for each byte first"),
		http.StatusOK, mediaJSON, reflect.TypeFor[client.Page[client.PendingTransfer]]()), s.pool)
	endpoint(d, get("/v1/fees", "get-fees", tagMoney, "What a place in a block costs"), s.fees)
}

// pool answers GET /v1/pool. A cursor names the last transfer of the page before by
// what its place depends on, so that it need not be there any more.
func (s *server) pool(w *response, _ *http.Request, in *Paging) error {
	snapshot, _ := s.chain.PoolSnapshot()
	entries := snapshot.Best()
	if in.Cursor != "" {
		after, err := parsePoolCursor(in.Cursor)
		if err != nil {
			return err
		}
		entries = snapshot.After(&after)
	}
	page := client.Page[client.PendingTransfer]{Items: []client.PendingTransfer{}}
	writer := s.writer()
	var last *mempool.Entry
	for e := range entries {
		if len(page.Items) == in.Limit {
			page.Next = fmt.Sprintf("%d.%d.%d", last.Transfer.Fee, last.Size, last.Seq)
			break
		}
		page.Items = append(page.Items, writer.pending(e))
		last = e
	}
	return writeJSON(w, http.StatusOK, page)
}

func parsePoolCursor(text string) (e mempool.Entry, err error) {
	parts := strings.Split(text, ".")
	var n [3]uint64
	for i := range n {
		if err == nil && i < len(parts) {
			n[i], err = strconv.ParseUint(parts[i], 10, 64)
		}
	}
	if err != nil || len(parts) != len(n) || n[0] > types.MaxAmount || n[1] == 0 || n[1] > maxTransferSize {
		return e, badCursor(text)
	}
	return mempool.Entry{Transfer: &types.Transfer{Fee: n[0]}, Size: int(n[1]), Seq: n[2]}, nil
}

// maxTransferSize is above the length of any transfer's encoding.
const maxTransferSize = 511

func (s *server) fees(context.Context, *none) (client.Fees, error) {
	f, err := s.chain.Fees()
	if err != nil {
		return client.Fees{}, err
	}
	out := client.Fees{Least: f.Least, Estimates: []client.FeeEstimate{}, Bands: []client.FeeBand{}, Beyond: f.Beyond}
	for _, e := range f.Estimates {
		out.Estimates = append(out.Estimates, client.FeeEstimate(e))
	}
	for _, b := range f.Bands {
		out.Bands = append(out.Bands, client.FeeBand(b))
	}
	return out, nil
}
