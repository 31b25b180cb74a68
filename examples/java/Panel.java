// A control panel in Java: what is for sale, a plan, a click that buys, and what happens to the order.
//
//     cd examples/java && mvn -q dependency:copy-dependencies -DoutputDirectory=jars && java -cp 'jars/*' Panel.java
import com.google.gson.*;
import com.sun.jna.*;
import com.sun.jna.ptr.PointerByReference;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

public final class Panel {
    /** A size_t is a long, a bool is one byte, and a text that ends with NUL has the length -1. */
    interface Fulcrum extends Library {
        long NUL_TERMINATED = -1;
        String fulcrum_error_message(Pointer error);
        void fulcrum_error_free(Pointer error);
        String fulcrum_text_data(Pointer text);
        void fulcrum_text_free(Pointer text);
        int fulcrum_federation_open_file(String path, long length, PointerByReference market, PointerByReference error);
        int fulcrum_federation_refresh(Pointer market, PointerByReference error);
        int fulcrum_federation_offers(Pointer market, String query, long length, PointerByReference offers, PointerByReference error);
        int fulcrum_offers_json(Pointer offers, PointerByReference json, PointerByReference error);
        int fulcrum_federation_compose(Pointer market, String blueprint, long length, Pointer options, PointerByReference plan, PointerByReference error);
        int fulcrum_plan_json(Pointer plan, PointerByReference json, PointerByReference error);
        int fulcrum_federation_accept_as(Pointer market, String id, long length, Pointer plan, String policy, long policyLength, PointerByReference order, PointerByReference error);
        int fulcrum_federation_drive_start(Pointer market, String id, long length, PointerByReference task, PointerByReference error);
        int fulcrum_federation_follow(Pointer market, String id, long length, PointerByReference events, PointerByReference error);
        int fulcrum_events_next_json(Pointer events, long timeoutMs, PointerByReference json, PointerByReference error);
        byte fulcrum_events_has_ended(Pointer events);
        int fulcrum_task_take_order(Pointer task, PointerByReference order, PointerByReference error);
        String fulcrum_order_id(Pointer order);
        byte fulcrum_order_is_committed(Pointer order);
        void fulcrum_order_free(Pointer order);
        void fulcrum_events_free(Pointer events);
        void fulcrum_task_free(Pointer task);
        void fulcrum_plan_free(Pointer plan);
        void fulcrum_offers_free(Pointer offers);
        void fulcrum_federation_free(Pointer market);
    }

    static final String MACHINES = "{ kinds: [machine], at_least: { vcpu_milli: 4000, memory_mib: 16384 }, currency: EUR, limit: 3 }";
    static final Fulcrum FULCRUM = Native.load(System.getenv().getOrDefault("FULCRUM_LIBRARY", "fulcrum"), Fulcrum.class,
        Map.of(Library.OPTION_STRING_ENCODING, "UTF-8"));

    interface Call { int make(PointerByReference out, PointerByReference error); }

    /** What a call makes; its error as an exception. */
    static Pointer made(Call call) {
        var out = new PointerByReference();
        var error = new PointerByReference();
        if (call.make(out, error) == 0) return out.getValue();
        var message = FULCRUM.fulcrum_error_message(error.getValue());
        FULCRUM.fulcrum_error_free(error.getValue());
        throw new IllegalStateException(message);
    }

    /** The document that a call returns; null if it returns none. */
    static JsonElement document(Call call) {
        var text = made(call);
        var document = text == null ? null : JsonParser.parseString(FULCRUM.fulcrum_text_data(text));
        FULCRUM.fulcrum_text_free(text);
        return document;
    }

    public static void main(String[] arguments) throws IOException {
        final long nul = Fulcrum.NUL_TERMINATED;
        var market = made((out, error) -> FULCRUM.fulcrum_federation_open_file("../market.yaml", nul, out, error));
        made((out, error) -> FULCRUM.fulcrum_federation_refresh(market, error));
        var offers = made((out, error) -> FULCRUM.fulcrum_federation_offers(market, MACHINES, nul, out, error)); // 1. What is for sale.
        for (var offer : document((out, error) -> FULCRUM.fulcrum_offers_json(offers, out, error)).getAsJsonArray())
            System.out.println("  " + offer.getAsJsonObject().get("id") + ": " + offer.getAsJsonObject().get("monthly") + " EUR a month");
        var shop = Files.readString(Path.of("../blueprints/shop.yaml")); // 2. The cheapest plan.
        var plan = made((out, error) -> FULCRUM.fulcrum_federation_compose(market, shop, nul, null, out, error));
        System.out.println("  " + document((out, error) -> FULCRUM.fulcrum_plan_json(plan, out, error)).getAsJsonObject().get("monthly") + " EUR a month");
        // 3. A click. Its id is in the form, so that the same click buys once, however often it comes.
        var click = "018f0000-0000-7000-8000-0000000000aa";
        Call accept = (out, error) -> FULCRUM.fulcrum_federation_accept_as(market, click, nul, plan, null, 0, out, error);
        Pointer first = made(accept), second = made(accept);
        var task = made((out, error) -> FULCRUM.fulcrum_federation_drive_start(market, click, nul, out, error));
        var events = made((out, error) -> FULCRUM.fulcrum_federation_follow(market, click, nul, out, error)); // 4. What happens to it.
        while (FULCRUM.fulcrum_events_has_ended(events) == 0) {
            var event = document((out, error) -> FULCRUM.fulcrum_events_next_json(events, 60000, out, error));
            if (event != null) System.out.println("  " + event.getAsJsonObject().get("at") + " " + event.getAsJsonObject().get("kind").getAsJsonObject().get("event"));
        }
        var bought = made((out, error) -> FULCRUM.fulcrum_task_take_order(task, out, error));
        boolean isOnce = FULCRUM.fulcrum_order_id(first).equals(FULCRUM.fulcrum_order_id(second)), isCommitted = FULCRUM.fulcrum_order_is_committed(bought) != 0;
        System.out.println("the order is committed: " + isCommitted + ", bought once: " + isOnce);
        for (var order : new Pointer[] {first, second, bought}) FULCRUM.fulcrum_order_free(order);
        FULCRUM.fulcrum_events_free(events);
        FULCRUM.fulcrum_task_free(task);
        FULCRUM.fulcrum_plan_free(plan);
        FULCRUM.fulcrum_offers_free(offers);
        FULCRUM.fulcrum_federation_free(market);
        System.exit(isCommitted && isOnce ? 0 : 1);
    }
}
