package api

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"sync"
	"time"

	"cairn/api/client"
	"cairn/consensus"
	"cairn/store"
	"cairn/types"
)

const (
	tagNode  = "Node"
	tagChain = "Chain"
	tagMoney = "Money"
)

// registerNode registers the calls about the node and its network.
func (d *docs) registerNode() {
	s := d.s
	endpoint(d, get("/v1/network", "get-network", tagNode, "The rules of the network"), s.network)
	call(d, d.answers(get("/v1/genesis", "get-genesis", tagNode, "The genesis file of the network"),
		http.StatusOK, mediaJSON, reflect.TypeFor[map[string]any]()), s.genesis)
	endpoint(d, get("/v1/status", "get-status", tagNode, "How the node is"), s.status)
	mine := needs(post("/v1/mine", "mine", tagNode, "Mine one block on the best chain"), client.ScopeOperate)
	call(d, d.answers(mine, http.StatusOK, mediaJSON, reflect.TypeFor[client.BlockData]()), s.mineV1)

	endpoint(d, get("/v1/neighbours", "list-neighbours", tagNode, "The registered neighbours"), s.neighbours)
	add := needs(post("/v1/neighbours", "add-neighbour", tagNode, "Register a neighbour; again changes nothing"), client.ScopeOperate)
	add = d.answers(add, http.StatusCreated, mediaJSON, reflect.TypeFor[client.NeighbourData]())
	call(d, d.takes(add, map[string]reflect.Type{mediaJSON: reflect.TypeFor[client.NeighbourAddress]()}), s.addNeighbour)
	remove := needs(get("/v1/neighbours", "remove-neighbour", tagNode, "Forget a neighbour"), client.ScopeOperate)
	remove.Method = http.MethodDelete
	call(d, d.answers(remove, http.StatusNoContent, "", nil), s.removeNeighbour)
}

func (s *server) network(context.Context, *none) (client.Network, error) {
	r, limits := s.rules, s.chain.PoolLimits()
	return client.Network{
		Name: r.Name, ChainID: r.ChainID(), Symbol: r.Symbol, Decimals: r.Decimals, AddressPrefix: r.AddressPrefix,
		Time: r.Time, Bits: fmt.Sprintf("%08x", r.Bits), BlockInterval: r.BlockInterval, HalfLife: r.HalfLife,
		Reward: r.Reward, HalvingInterval: r.HalvingInterval, MaxBlockSize: r.MaxBlockSize, TxLifetime: r.TxLifetime,
		MinBalance: r.MinBalance, Signatures: r.Signatures, CreditLimit: r.CreditLimit,
		Policy: client.Policy{
			MinFeeRate: limits.MinFeeRate, PerAccount: limits.PerAccount,
			MaxTransfers: limits.Transfers, MaxPoolBytes: limits.Bytes,
		},
	}, nil
}

func (s *server) genesis(w *response, _ *http.Request, _ *none) error {
	return writeBody(w, http.StatusOK, s.rules.JSON())
}

func (s *server) status(context.Context, *none) (client.Status, error) {
	tip, pool := s.chain.Tip(), s.chain.Pool()
	rate, disk, err := s.costly.now(s)
	if err != nil {
		return client.Status{}, err
	}
	status := client.Status{
		Network:     s.rules.Name,
		ChainID:     s.rules.ChainID(),
		Height:      tip.Height,
		Tip:         tip.Hash,
		Work:        tip.Work.String(),
		Time:        tip.Time,
		HashRate:    rate,
		Pool:        client.PoolStatus{Transfers: pool.Transfers, Bytes: pool.Bytes},
		Sync:        client.SyncStatus{Height: tip.Height},
		Disk:        client.DiskStatus(disk),
		Neighbours:  len(s.syncer.Neighbours()),
		Peers:       len(s.connected()),
		Version:     s.version,
		NodeAddress: s.address,
		Uptime:      int64(time.Since(s.started) / time.Second),
	}
	if height, running := s.syncer.Target(); running {
		status.Sync = client.SyncStatus{Running: true, Height: max(height, tip.Height)}
	}
	if offset, n := s.syncer.Clock(); n > 0 {
		status.Clock = &client.ClockStatus{Offset: math.Round(offset.Seconds()*10) / 10, Neighbours: n}
	}
	return status, nil
}

// costly is what in a status takes the disk to find out. It is kept, so that a program
// may ask as often as it likes.
type costly struct {
	mu   sync.Mutex
	tip  types.Hash // that rate is for
	rate float64
	read time.Time // when disk was read
	disk store.Disk
}

// diskAge is how old what is said of the disk may be.
const diskAge = time.Second

func (c *costly) now(s *server) (rate float64, disk store.Disk, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if tip := s.chain.Tip().Hash; tip != c.tip {
		if c.rate, err = s.hashRate(); err != nil {
			return 0, store.Disk{}, err
		}
		c.tip = tip
	}
	if time.Since(c.read) >= diskAge {
		c.disk, c.read = s.store.Disk(), time.Now()
	}
	return c.rate, c.disk, nil
}

// rateBlocks is how many blocks an estimate of the hash rate looks back.
const rateBlocks = 100

// hashRate estimates how many hashes a second went into the latest blocks: their
// work, by the time between the first and the last of them.
func (s *server) hashRate() (float64, error) {
	snapshot, err := s.chain.Snapshot()
	if err != nil {
		return 0, err
	}
	defer snapshot.Close()
	last := snapshot.Tip
	if last.Height < 2 {
		return 0, nil
	}
	first, _, err := snapshot.BlockAt(nil, last.Height-min(rateBlocks, last.Height-1)) // not genesis: its time was chosen
	if err != nil || last.Time <= first.Time {
		return 0, err
	}
	return workBetween(first, last) / float64(last.Time-first.Time), nil
}

func workBetween(first, last consensus.State) float64 {
	return toFloat(last.Work) - toFloat(first.Work)
}

func toFloat(w consensus.Work) float64 {
	sum := 0.0
	for i, word := range w {
		sum += math.Ldexp(float64(word), 64*i)
	}
	return sum
}

// mineV1 answers POST /v1/mine. The search ends when the client leaves.
func (s *server) mineV1(w *response, r *http.Request, _ *none) error {
	if err := watchClient(w, r); err != nil {
		return err
	}
	block, state, err := s.miner.MineOne(r.Context())
	if err != nil {
		return err
	}
	body := s.writer().appendBlock(nil, &state, block, true, state.Height)
	return writeBody(w, http.StatusOK, append(body, '\n'))
}

func (s *server) neighbours(context.Context, *none) (client.Page[client.NeighbourData], error) {
	page := client.Page[client.NeighbourData]{Items: []client.NeighbourData{}}
	for _, n := range s.syncer.Latest() {
		page.Items = append(page.Items, client.NeighbourData(n))
	}
	return page, nil
}

func (s *server) addNeighbour(w *response, r *http.Request, _ *none) error {
	o, err := readObject(w, r)
	if err != nil {
		return err
	}
	if err := only(o, "address"); err != nil {
		return err
	}
	address, err := textOf(o, "address")
	if err != nil {
		return err
	}
	if _, err := s.syncer.AddNeighbour(address); err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, client.NeighbourData{Address: address})
}

type neighbourParam struct {
	Address string `query:"address" required:"true" doc:"Base URL of the neighbour"`
}

func (s *server) removeNeighbour(w *response, _ *http.Request, in *neighbourParam) error {
	removed, err := s.syncer.RemoveNeighbour(in.Address)
	if err != nil {
		return err
	}
	if !removed {
		return refuse(client.ErrNotFound, "no neighbour %s is registered; GET /v1/neighbours lists them", quote(in.Address))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
