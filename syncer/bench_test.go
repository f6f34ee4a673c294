package syncer

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"cairn/consensus"
	"cairn/store"
	"cairn/types"
)

// BenchmarkSync fetches a neighbour's chain over loopback into a new directory:
// all is validated, indexed and durable. Both nodes are in this process and share
// its cores.
func BenchmarkSync(b *testing.B) {
	for _, c := range []struct{ blocks, transfers int }{{10_000, 10}, {100_000, 0}} {
		b.Run(fmt.Sprintf("%dx%d", c.blocks, c.transfers), func(b *testing.B) {
			n := &network{t: b, rules: consensus.Dev()}
			full := n.open(b.TempDir()+"/full", store.Options{})
			defer full.close()
			full.grow(c.blocks, func(i int) []types.Transfer {
				transfers := make([]types.Transfer, c.transfers)
				for j := range transfers {
					transfers[j] = types.Transfer{
						Sender: types.Account(fmt.Sprint("sender ", i)), Recipient: types.Account(fmt.Sprint("recipient ", j)),
						Amount: 1, Expiry: uint32(i + 100), Salt: uint64(i<<20 + j),
					}
				}
				return transfers
			})
			server := httptest.NewServer(full.Handler())
			defer server.Close()
			b.ResetTimer()
			for i := range b.N {
				b.StopTimer()
				node := n.open(fmt.Sprint(b.TempDir(), "/", i), store.Options{})
				node.transport = newTransport() // over TCP
				node.register(server.URL)
				b.StartTimer()
				_, err := node.Sync(b.Context())
				b.StopTimer()
				if err != nil || node.chain.Tip() != full.chain.Tip() {
					b.Fatal(node.chain.Tip().Height, err)
				}
				node.close()
				b.StartTimer()
			}
			b.ReportMetric(float64(b.N*c.blocks)/b.Elapsed().Seconds(), "blocks/s")
			b.ReportMetric(float64(b.N*c.blocks*c.transfers)/b.Elapsed().Seconds(), "transfers/s")
		})
	}
}
