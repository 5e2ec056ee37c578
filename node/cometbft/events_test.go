package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cometbft/cometbft/abci/example/kvstore"
	abci "github.com/cometbft/cometbft/abci/types"
	cfg "github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/libs/pubsub/query"
	rpcserver "github.com/cometbft/cometbft/rpc/jsonrpc/server"
	"github.com/cometbft/cometbft/types"
	"github.com/gorilla/websocket"
)

// validator is a running node, beside whose endpoint the stock one serves the same node.
func validator(t *testing.T, change func(*cfg.Config)) (ours, stock string) {
	t.Helper()
	app, _ := serve(t, kvstore.NewInMemoryApplication())
	config := oneValidator(t, app)
	ours = strings.TrimPrefix(config.RPC.ListenAddress, "tcp://")
	if change != nil {
		change(config)
	}
	creator := newClientCreator(background, config, func(error) {})
	node, err := startNode(background, config, creator, log.NewNopLogger())
	must(t, err)
	t.Cleanup(func() { must(t, node.Stop()) })
	environment, err := node.ConfigureRPC()
	must(t, err)
	routes := environment.GetRoutes()
	manager := rpcserver.NewWebsocketManager(routes, rpcserver.ReadLimit(1_000_000))
	mux := http.NewServeMux()
	mux.HandleFunc("/websocket", manager.WebsocketHandler)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return ours, strings.TrimPrefix(server.URL, "http://")
}

func dial(t *testing.T, address string) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+address+"/websocket", nil)
	must(t, err)
	t.Cleanup(func() { _ = ws.Close() })
	return ws
}

func say(t *testing.T, ws *websocket.Conn, text string) {
	t.Helper()
	must(t, ws.WriteMessage(websocket.TextMessage, []byte(text)))
}

func hear(t *testing.T, ws *websocket.Conn) string {
	t.Helper()
	must(t, ws.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, message, err := ws.ReadMessage()
	must(t, err)
	return string(message)
}

func request(id any, method string, params any) string {
	text, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
	return string(text)
}

// What a client sees is what CometBFT's own endpoint says.
func TestEventsAreCometBFTs(t *testing.T) {
	ours, stock := validator(t, func(config *cfg.Config) { config.RPC.MaxSubscriptionsPerClient = 6 })
	queries := []string{
		"tm.event='NewBlock'", "tm.event='NewBlockHeader'", "tm.event = 'NewBlockEvents'",
		"tm.event='Tx' AND app.creator = 'Cosmoshi Netowoko'", "tm.event='Tx' AND tx.height > 2 AND app EXISTS",
		"app.key CONTAINS 'a<b>&'",
	}
	subscribed := func(address string, id any) *websocket.Conn {
		ws := dial(t, address)
		for _, q := range queries {
			say(t, ws, request(id, "subscribe", map[string]string{"query": q}))
		}
		for answers := 0; answers < len(queries); {
			text := hear(t, ws)
			if strings.HasSuffix(text, `"result":{}}`) {
				answers++
			}
			if contains(text, `"error"`) {
				t.Fatal(text)
			}
		}
		return ws
	}
	// By what each is about, until one with all these parts has come.
	events := func(ws *websocket.Conn, last ...string) map[string]string {
		for seen := make(map[string]string); ; {
			text := hear(t, ws)
			var event struct {
				Result struct {
					Query string `json:"query"`
					Data  struct {
						Value struct {
							Block    struct{ Header header }
							Header   header
							Height   string
							TxResult struct{ Height, Tx string }
						} `json:"value"`
					} `json:"data"`
				} `json:"result"`
			}
			must(t, json.Unmarshal([]byte(text), &event))
			v := event.Result.Data.Value
			seen[fmt.Sprint(event.Result.Query, v.Block.Header.Height, v.Header.Height, v.Height, v.TxResult)] = text
			if !slices.ContainsFunc(last, func(part string) bool { return !contains(text, part) }) {
				return seen
			}
		}
	}
	sender, sent := dial(t, ours), 0
	send := func() (tx []byte) {
		sent++
		tx = []byte(fmt.Sprintf("a<b>&%d=%d", sent, sent))
		say(t, sender, request(sent, "broadcast_tx_commit", map[string]any{"tx": tx}))
		if text := hear(t, sender); !contains(text, `"height":"`) {
			t.Fatal(text)
		}
		return tx
	}
	for _, id := range []any{7, "a\"<b>"} {
		ours, stock := subscribed(ours, id), subscribed(stock, id)
		for range 5 {
			send()
		}
		last := []string{base64.StdEncoding.EncodeToString(send()), `"query":"app.key CONTAINS`}
		mine, theirs := events(ours, last...), events(stock, last...)
		both, kinds := 0, make(map[string]bool)
		for what, text := range theirs {
			if got, seen := mine[what]; seen {
				both++
				kinds[strings.SplitN(text, `"data"`, 2)[0]] = true
				if !same(got, text) {
					t.Errorf("%s:\n ours %s\nstock %s", what, got, text)
				}
			}
		}
		if both < 20 || len(kinds) != len(queries) {
			t.Errorf("compared %d events of %d kinds", both, len(kinds))
		}
	}
}

// same is to the byte but for the order in which CometBFT writes a map.
func same(a, b string) bool {
	const mark = `,"events":{"`
	at := strings.LastIndex(b, mark)
	var ours, theirs map[string]any
	return len(a) == len(b) && at > 0 && a[:at] == b[:at] &&
		json.Unmarshal([]byte(a), &ours) == nil && json.Unmarshal([]byte(b), &theirs) == nil && reflect.DeepEqual(ours, theirs)
}

type header struct{ Height string }

// Answers to calls and to mistakes are CometBFT's; where its endpoint and its POST differ, ours is as POST.
func TestCallsAreCometBFTs(t *testing.T) {
	ours, stock := validator(t, nil)
	mine, theirs := dial(t, ours), dial(t, stock)
	for _, text := range []string{
		request(1, "subscribe", map[string]string{"query": "tm.event='ValidatorSetUpdates'"}),
		request(2, "subscribe", []string{"tm.event = 'ValidatorSetUpdates'"}),
		request("three", "subscribe", []string{"tm.event="}),
		request(4, "subscribe", []string{strings.Repeat("x", 513)}),
		request(5, "unsubscribe", []string{"tm.event='Vote'"}),
		request(6, "unsubscribe", []string{"tm.event='ValidatorSetUpdates'"}),
		request(7, "unsubscribe_all", map[string]string{}),
		request(8, "subscribe", []string{"tm.event='Evidence'"}),
		request(9, "unsubscribe_all", nil),
		request(10, "health", map[string]string{}),
		request(11, "genesis", map[string]string{}),
		request(12, "block", map[string]string{"height": "1"}),
		request(13, "nothing", map[string]string{}),
		request(14, "block", map[string]string{"height": "1000000"}),
		"no json", `{"jsonrpc":"2.0","id":{},"method":"health"}`,
	} {
		say(t, mine, text)
		say(t, theirs, text)
		// Notifications are not answered.
		say(t, mine, `{"jsonrpc":"2.0","method":"health"}`)
		a, b := hear(t, mine), hear(t, theirs)
		if contains(text, "no json") || contains(text, `"id":{}`) {
			a, b = a[:60], b[:60] // words of two ways to read JSON
		}
		if a != b {
			t.Errorf("%s:\n ours %s\nstock %s", text, a, b)
		}
	}
	say(t, mine, request(1, "subscribe", map[string]int{"query": 1}))
	if text := hear(t, mine); !contains(text, "expected one parameter, query, that is a string") {
		t.Error(text)
	}
}

func TestSubscriptionsAreLimited(t *testing.T) {
	address, _ := validator(t, func(config *cfg.Config) {
		config.RPC.MaxSubscriptionClients, config.RPC.MaxSubscriptionsPerClient = 2, 1
	})
	one, two, three := dial(t, address), dial(t, address), dial(t, address)
	ask := func(ws *websocket.Conn, event, want string) {
		t.Helper()
		say(t, ws, request(1, "subscribe", []string{"tm.event='" + event + "'"}))
		if text := hear(t, ws); !contains(text, want) {
			t.Errorf("%s, expected %s", text, want)
		}
	}
	ask(one, "ValidBlock", `"result":{}`)
	ask(one, "Lock", "max_subscriptions_per_client 1 reached")
	ask(two, "ValidBlock", `"result":{}`)
	ask(three, "ValidBlock", "max_subscription_clients 2 reached")
	must(t, two.Close())
	within(t, "a place is free", func() {
		for {
			say(t, three, request(1, "subscribe", []string{"tm.event='ValidBlock'"}))
			if contains(hear(t, three), `"result":{}`) {
				return
			}
		}
	})
}

// Who does not read loses the subscription and holds nobody up.
func TestASlowClientIsCutOff(t *testing.T) {
	bus := types.NewEventBus()
	must(t, bus.Start())
	config := cfg.DefaultRPCConfig()
	config.SubscriptionBufferSize = 20
	hub, err := newHub(bus, *config, log.NewNopLogger())
	must(t, err)
	hub.mostWaiting = 1 << 20
	server := httptest.NewServer(newEndpoint(hub, http.NotFoundHandler(), 1000, log.NewNopLogger()))
	t.Cleanup(server.Close)
	address := strings.TrimPrefix(server.URL, "http://")
	slow, quick := dial(t, address), dial(t, address)
	for _, ws := range []*websocket.Conn{slow, quick} {
		say(t, ws, request(1, "subscribe", []string{"tm.event='Tx'"}))
		hear(t, ws)
	}
	const batches, batch = 50, 10
	for i := range batches {
		for j := range batch {
			must(t, bus.PublishEventTx(types.EventDataTx{TxResult: largeResult(i*batch + j)}))
		}
		for j := range batch {
			if text := hear(t, quick); !contains(text, fmt.Sprintf(`"tx.height":["%d"]`, i*batch+j)) {
				t.Fatalf("event %d is missing: %.300s", i*batch+j, text)
			}
		}
	}
	within(t, "the slow one is told", func() {
		for {
			if contains(hear(t, slow), "subscription was canceled (reason: internal subscription event buffer is out of capacity)") {
				return
			}
		}
	})
}

// A query looks at the values that it names, and sees what it would see among all of them.
func TestMatchingIsTheQueriesOwn(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	pick := func(of ...string) string { return of[random.Intn(len(of))] }
	name := func() string { return pick("a.x", "a.y", "a", "b.x", "b.y.z", "b.y", "b", "tm.event", "ab.x", "plain") }
	value := func() string { return pick("1", "2", "10", "v", "vw", "", "2024-05-03", "2024-05-03T14:45:00Z") }
	matched := 0
	for range 20000 {
		var conditions []string
		for range 1 + random.Intn(3) {
			operator := pick(" = ", " = ", " < ", " >= ", " CONTAINS ", " EXISTS")
			switch operand := value(); {
			case operator == " EXISTS":
				conditions = append(conditions, name()+operator)
			case contains(operand, "T"):
				conditions = append(conditions, name()+operator+"TIME "+operand)
			case contains(operand, "-"):
				conditions = append(conditions, name()+operator+"DATE "+operand)
			default:
				conditions = append(conditions, name()+operator+pick(operand, "'"+operand+"'"))
			}
		}
		q, err := query.New(strings.Join(conditions, " AND "))
		if err != nil {
			continue
		}
		said := make(map[string][]string)
		for range random.Intn(5) {
			n := name()
			if !contains(n, ".") {
				continue // CometBFT names none so
			}
			said[n] = append(said[n], value())
		}
		want, _ := q.Matches(said)
		if got := newLiveQuery(q).matches(&values{all: said}); got != want {
			t.Fatalf("%s over %v: %v, expected %v", q, said, got, want)
		}
		if want {
			matched++
		}
	}
	if matched < 300 {
		t.Fatalf("only %d matches", matched)
	}
}

// largeResult is of 27 kB as JSON.
func largeResult(height int) abci.TxResult {
	return abci.TxResult{Height: int64(height), Tx: []byte(strings.Repeat("x", 20_000))}
}
