package api

import (
	"crypto/ed25519"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"cairn/api/client"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/mempool"
	"cairn/types"
)

// wallet is a Signer.
type wallet map[types.Account]ed25519.PrivateKey

func (w wallet) Holds(a types.Account) bool { return w[a] != nil }

func (w wallet) Sign(r *consensus.Rules, t *types.Transfer) error {
	r.Sign(t, w[t.Sender])
	return nil
}

// walletOf holds the key of person 1.
func walletOf() wallet { return wallet{accountOfKey(keyOf(1)): keyOf(1)} }

// offLoopback makes a node that others can reach; its own token is "secret".
func offLoopback(c *Config) { c.Loopback, c.Token = false, "secret" }

const bySecret = "Bearer secret"

// keyed makes a node of a network with signatures where person 1 has everything.
func keyed(t testing.TB, cfg nodeConfig) *testNode {
	cfg.rules = keyedRules(t, nil)
	if cfg.recipient == "" {
		cfg.recipient = accountOfKey(keyOf(1))
	}
	return newNode(t, cfg)
}

func (n *testNode) postTransfer(t types.Transfer) answer {
	return n.post("/v1/transactions", n.submission(t))
}

// addBlock adds a block with transfers after the tip, which is genesis.
func (n *testNode) addBlock(ts ...types.Transfer) {
	n.t.Helper()
	b := chaintest.New(n.chain.Rules())
	block := b.Add("b", chaintest.Genesis, chaintest.Spec{Miner: n.person(1), Transfers: ts})
	if err := n.chain.AddBlocks(n.t.Context(), []*types.Block{block}); err != nil {
		n.t.Fatal(err)
	}
}

// dropped returns why a transfer left the pool.
func (n *testNode) dropped(t types.Transfer) *client.Problem {
	n.t.Helper()
	got := decode[client.TransactionData](n.get("/v1/transactions/" + t.ID().String()))
	if got.Dropped == nil {
		n.t.Fatalf("it was not dropped: %+v", got)
	}
	return got.Dropped
}

const allOfIt = 1_000_000_000_000_000 // what person 1 has

// refusals make, for each rule, a request that breaks it.
var refusals = map[client.Rule]func(t *testing.T) answer{
	client.ErrSyntax: func(t *testing.T) answer { return newNode(t, nodeConfig{}).post("/v1/transactions", `{`) },
	client.ErrDuplicateKey: func(t *testing.T) answer {
		return newNode(t, nodeConfig{}).post("/v1/tokens", `{"name":"a","name":"b"}`)
	},
	client.ErrInvalidValue: func(t *testing.T) answer { return newNode(t, nodeConfig{}).get("/v1/blocks?limit=0") },
	client.ErrNotFound:     func(t *testing.T) answer { return newNode(t, nodeConfig{}).get("/v1/blocks/1") },
	client.ErrMethodNotAllowed: func(t *testing.T) answer {
		a := newNode(t, nodeConfig{}).do("PUT", "/v1/tokens", "{}")
		if got := a.header.Get("Allow"); got != "GET, HEAD, POST" {
			t.Errorf("Allow: %s", got)
		}
		return a
	},
	client.ErrBodyTooLarge: func(t *testing.T) answer {
		return newNode(t, nodeConfig{}).post("/v1/transactions", strings.Repeat(" ", maxBody+1))
	},
	client.ErrContentType: func(t *testing.T) answer {
		return newNode(t, nodeConfig{}).post("/v1/transactions", `{}`, "Content-Type", "text/plain")
	},

	client.ErrHost: func(t *testing.T) answer { return newNode(t, nodeConfig{}).get("/v1/status", "Host", "evil.example") },
	client.ErrCrossSite: func(t *testing.T) answer {
		return newNode(t, nodeConfig{}).post("/v1/mine", "", "Origin", "http://evil.example")
	},
	client.ErrUnauthorised: func(t *testing.T) answer { return newNode(t, nodeConfig{api: offLoopback}).post("/v1/mine", "") },
	client.ErrForbidden: func(t *testing.T) answer {
		n := newNode(t, nodeConfig{api: offLoopback})
		token := decode[client.TokenData](n.post("/v1/tokens", `{"name":"r","scope":"read"}`, "Authorization", bySecret)).Token
		return n.post("/v1/mine", "", "Authorization", "Bearer "+token)
	},
	client.ErrRateLimited: func(t *testing.T) answer {
		n := newNode(t, nodeConfig{api: func(c *Config) { offLoopback(c); c.RateLimit = 1 }})
		n.get("/v1/status")
		n.get("/v1/status")
		return n.get("/v1/status")
	},
	client.ErrKeyNotHeld: func(t *testing.T) answer {
		n := keyed(t, nodeConfig{api: func(c *Config) { c.Signer, c.Token = walletOf(), "secret" }})
		return n.post("/create-transaction", fmt.Sprintf(`{"sender":%q,"recipient":%q,"amount":1}`, n.text(2), n.text(1)), "Authorization", bySecret)
	},
	client.ErrKeyReused: func(t *testing.T) answer {
		n := newNode(t, nodeConfig{})
		n.post("/create-transaction", `{"sender":"a","recipient":"b","amount":1}`, "Idempotency-Key", "k")
		return n.post("/create-transaction", `{"sender":"a","recipient":"b","amount":2}`, "Idempotency-Key", "k")
	},
	client.ErrNameTaken: func(t *testing.T) answer {
		n := newNode(t, nodeConfig{})
		n.post("/v1/tokens", `{"name":"r","scope":"read"}`)
		return n.post("/v1/tokens", `{"name":"r","scope":"read"}`)
	},
	client.ErrAddressFaulty: func(t *testing.T) answer {
		return newNode(t, nodeConfig{}).post("/v1/neighbours", `{"address":"ftp://x"}`)
	},
	client.ErrTooMany: func(t *testing.T) answer {
		n := newNode(t, nodeConfig{})
		for i := range 256 {
			if a := n.post("/v1/neighbours", fmt.Sprintf(`{"address":"http://n%d.example"}`, i)); a.status != 201 {
				t.Fatal(a.body)
			}
		}
		return n.post("/v1/neighbours", `{"address":"http://last.example"}`)
	},

	client.ErrPeersOff: func(t *testing.T) answer { return newNode(t, nodeConfig{}).get("/v1/peers") },
	client.ErrPeerAddress: func(t *testing.T) answer {
		return newNode(t, nodeConfig{api: withPeers}).post("/v1/peers", `{"address":"http://127.0.0.1:5000"}`)
	},
	client.ErrPeerUnreachable: func(t *testing.T) answer {
		return newNode(t, nodeConfig{api: withPeers}).post("/v1/peers", `{"address":"`+unreachable+`"}`)
	},

	client.ErrAccount: func(t *testing.T) answer { return keyed(t, nodeConfig{}).get("/v1/accounts/nobody") },
	client.ErrSystemAccount: func(t *testing.T) answer {
		return newNode(t, nodeConfig{}).post("/v1/transactions", `{"sender":"0","recipient":"a","amount":1}`)
	},
	client.ErrSmallOrder: func(t *testing.T) answer {
		n := keyed(t, nodeConfig{})
		return n.get("/v1/accounts/" + n.chain.Rules().FormatAccount(types.Account(make([]byte, 32))))
	},
	client.ErrAmount: func(t *testing.T) answer {
		return newNode(t, nodeConfig{}).post("/v1/transactions", `{"sender":"a","recipient":"b","amount":9007199254740991,"fee":1}`)
	},
	client.ErrSignature: func(t *testing.T) answer {
		n := keyed(t, nodeConfig{})
		forged := n.transfer(1, 2, 1, 1, 1)
		forged.Amount++
		return n.postTransfer(forged)
	},
	client.ErrUnexpectedSignature: func(t *testing.T) answer {
		n := newNode(t, nodeConfig{})
		signed := n.transfer(1, 2, 1, 1, 1)
		signed.Signature[5] = 1
		return n.postTransfer(signed)
	},

	client.ErrExpired: func(t *testing.T) answer {
		return newNode(t, nodeConfig{}).post("/v1/transactions", `{"sender":"a","recipient":"b","amount":1,"expiry":0}`)
	},
	client.ErrExpiryTooFar: func(t *testing.T) answer {
		return newNode(t, nodeConfig{}).post("/v1/transactions", `{"sender":"a","recipient":"b","amount":1,"expiry":1000002}`)
	},
	client.ErrInsufficient: func(t *testing.T) answer {
		n := keyed(t, nodeConfig{})
		n.submit(n.transfer(1, 2, 100, 1, 1))
		return n.postTransfer(n.transfer(1, 2, allOfIt, 1, 2))
	},
	client.ErrBalanceLimit: func(t *testing.T) answer {
		n := newNode(t, nodeConfig{})
		n.submit(n.transfer(1, 2, types.MaxAmount, 0, 1))
		n.mineV1()
		return n.postTransfer(n.transfer(3, 2, 1, 0, 1))
	},
	client.ErrMinBalance: func(t *testing.T) answer {
		n := newNode(t, nodeConfig{rules: testRules(t, func(r *consensus.Rules) { r.MinBalance = 1000 })})
		return n.postTransfer(n.transfer(1, 2, 999, 0, 1))
	},
	client.ErrReplay: func(t *testing.T) answer {
		n := newNode(t, nodeConfig{})
		n.submit(n.transfer(1, 2, 1, 0, 1))
		n.mineV1()
		return n.postTransfer(n.transfer(1, 2, 2, 0, 1))
	},

	client.ErrConflict: func(t *testing.T) answer {
		n := newNode(t, nodeConfig{})
		n.submit(n.transfer(1, 2, 1, 10, 1))
		return n.postTransfer(n.transfer(1, 2, 2, 10, 1))
	},
	client.ErrFeeTooLow: func(t *testing.T) answer {
		n := newNode(t, nodeConfig{pool: mempool.Limits{MinFeeRate: 1000}})
		return n.postTransfer(n.transfer(1, 2, 1, 1, 1))
	},
	client.ErrAccountLimit: func(t *testing.T) answer {
		n := newNode(t, nodeConfig{pool: mempool.Limits{PerAccount: 1}})
		n.submit(n.transfer(1, 2, 1, 1, 1))
		return n.postTransfer(n.transfer(1, 2, 1, 1, 2))
	},
	client.ErrPoolFull: func(t *testing.T) answer {
		n := newNode(t, nodeConfig{pool: mempool.Limits{Transfers: 1}})
		n.submit(n.transfer(1, 2, 1, 1000, 1))
		return n.postTransfer(n.transfer(1, 2, 1, 1, 2))
	},
	client.ErrNoRecipient: func(t *testing.T) answer {
		return newNode(t, nodeConfig{rules: keyedRules(t, nil)}).post("/v1/mine", "")
	},
	client.ErrTooFresh: func(t *testing.T) answer { return newNode(t, nodeConfig{}).get("/v1/accounts/a/proof") },
	client.ErrStopping: func(t *testing.T) answer {
		n := newNode(t, nodeConfig{})
		if err := n.chain.Close(); err != nil {
			t.Fatal(err)
		}
		return n.post("/v1/transactions", `{"sender":"a","recipient":"b","amount":1}`)
	},
}

// departures make, for each rule by which a transfer leaves the pool, one that did.
var departures = map[client.Rule]func(t *testing.T) *client.Problem{
	client.ErrEvicted: func(t *testing.T) *client.Problem {
		n := newNode(t, nodeConfig{pool: mempool.Limits{Transfers: 1}})
		cheap := n.transfer(1, 2, 1, 1, 1)
		n.submit(cheap)
		n.submit(n.transfer(1, 2, 1, 1000, 2))
		return n.dropped(cheap)
	},
	client.ErrReplaced: func(t *testing.T) *client.Problem {
		n := newNode(t, nodeConfig{})
		cheap := n.transfer(1, 2, 1, 1, 1)
		n.submit(cheap)
		n.submit(n.transfer(1, 2, 1, 1000, 1))
		return n.dropped(cheap)
	},
	client.ErrUncovered: func(t *testing.T) *client.Problem {
		n := keyed(t, nodeConfig{})
		waits := n.transfer(1, 2, allOfIt-1, 1, 1)
		n.submit(waits)
		n.addBlock(n.transfer(1, 3, allOfIt-1000, 0, 2))
		return n.dropped(waits)
	},
	client.ErrOtherMined: func(t *testing.T) *client.Problem {
		n := newNode(t, nodeConfig{})
		waits := n.transfer(1, 2, 1, 1000, 1)
		n.submit(waits)
		n.addBlock(n.transfer(1, 2, 2, 0, 1))
		return n.dropped(waits)
	},
	client.ErrExpired: func(t *testing.T) *client.Problem {
		n := newNode(t, nodeConfig{})
		waits := n.transfer(1, 2, 1, 1000, 1)
		waits.Expiry = 1
		n.submit(waits)
		n.addBlock()
		p := n.dropped(waits)
		if got := decode[client.TransactionData](n.get("/v1/transactions/" + waits.ID().String())); got.Status != client.Lapsed {
			t.Errorf("status %s", got.Status)
		}
		return p
	},
}

// unreached are the rules that no request here breaks, and why.
var unreached = map[client.Rule]string{
	client.ErrMined:    "it takes a transfer and its block at the same moment",
	client.ErrTooLong:  "it takes a chain of 200,000 blocks",
	client.ErrInternal: "it takes a fault of the program: see TestPanic",
}

// Every rule is answered with its status, its name and its title to whoever breaks it.
func TestRules(t *testing.T) {
	for _, rule := range client.Rules() {
		t.Run(string(rule), func(t *testing.T) {
			if refusals[rule] == nil && departures[rule] == nil && unreached[rule] == "" {
				t.Fatal("nothing breaks this rule")
			}
			if request := refusals[rule]; request != nil {
				a := request(t)
				p := a.refused(rule.Status())
				checkProblem(t, &p, rule)
				checkHeaders(t, a)
			}
			if leave := departures[rule]; leave != nil {
				checkProblem(t, leave(t), rule)
			}
		})
	}
}

// withValues are the rules that say what they compared.
var withValues = []client.Rule{
	client.ErrInsufficient, client.ErrFeeTooLow, client.ErrAccountLimit, client.ErrMinBalance, client.ErrExpiryTooFar, client.ErrConflict,
}

func checkProblem(t *testing.T, p *client.Problem, rule client.Rule) {
	t.Helper()
	if p.Type != "/problems/"+string(rule) || p.Title != rule.Title() || p.Status != rule.Status() || p.Detail == "" {
		t.Errorf("%+v; want the rule %s", p, rule)
	}
	if slices.Contains(withValues, rule) && len(p.Values) == 0 {
		t.Errorf("%s: no values", rule)
	}
}

// checkHeaders looks for what a refusal has besides its body.
func checkHeaders(t *testing.T, a answer) {
	t.Helper()
	for name, statuses := range map[string][]int{
		"Retry-After":      {http.StatusServiceUnavailable, http.StatusTooManyRequests},
		"WWW-Authenticate": {http.StatusUnauthorized},
		"Allow":            {http.StatusMethodNotAllowed},
	} {
		if got, want := a.header.Get(name) != "", slices.Contains(statuses, a.status); got != want {
			t.Errorf("%d with the header %s: %q", a.status, name, a.header.Get(name))
		}
	}
}
