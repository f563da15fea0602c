import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.AutoOffsetReset;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowStore;
import org.apache.kafka.streams.state.WindowBytesStoreSupplier;

/**
 * The windows of the benchmark in Kafka Streams: count, sum, min, max in 10 s tumbling windows per series.
 *
 * <p>Arguments: variant (processor, rocksdb, dsl, batch), brokers, topic, output topic, events, work folder. The last
 * thing written is marks.json in the work folder: events, and CPU and wall seconds from the first record to the end
 * (closed: caches flushed, changelogs written, offsets committed).
 */
public final class Windows {
    static final long SIZE_MS = 10_000;
    static final long LATENESS_MS = 5_000;
    static final long RETENTION_MS = 86_400_000;
    static final AtomicLong PROCESSED = new AtomicLong();
    static volatile long firstCpuNs = -1;
    static volatile long firstWallNs;

    public static void main(String[] args) throws Exception {
        String variant = args[0];
        long expected = Long.parseLong(args[4]);
        Path folder = Path.of(args[5]);
        Topology topology = switch (variant) {
            case "dsl" -> dsl(args[2], args[3]);
            case "batch" -> processors(args[2], args[3], new BatchDeserializer(), Batches::new, false);
            default -> processors(args[2], args[3], new EventDeserializer(), Singles::new, variant.equals("rocksdb"));
        };
        KafkaStreams streams = new KafkaStreams(topology, configuration(variant, args[1], folder));
        streams.setUncaughtExceptionHandler(problem -> {
            problem.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        streams.start();
        while (PROCESSED.get() < expected) {
            Thread.sleep(5);
        }
        streams.close();
        String marks = String.format(Locale.ROOT, "{\"events\": %d, \"cpu_seconds\": %.6f, \"wall_seconds\": %.6f}",
            PROCESSED.get(), (cpuNs() - firstCpuNs) / 1e9, (System.nanoTime() - firstWallNs) / 1e9);
        Files.writeString(folder.resolve("marks.json"), marks);
    }

    static Properties configuration(String variant, String brokers, Path folder) {
        Properties properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, "bench-kafka-streams-" + variant);
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, folder.resolve("state").toString());
        properties.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        return properties;
    }

    static long cpuNs() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
            .getProcessCpuTime();
    }

    static void began() {
        if (firstCpuNs < 0) {
            firstCpuNs = cpuNs();
            firstWallNs = System.nanoTime();
        }
    }

    // The topologies.

    interface Maker<V> {
        Processor<String, V, String, String> make();
    }

    /** Agents are the record key, so all events of a series are in one partition and nothing has to move. */
    static <V> Topology processors(
            String topic, String output, Deserializer<V> values, Maker<V> maker, boolean rocksdb) {
        Duration retention = Duration.ofMillis(RETENTION_MS);
        Duration size = Duration.ofMillis(SIZE_MS);
        WindowBytesStoreSupplier supplier = rocksdb
            ? Stores.persistentWindowStore("windows", retention, size, false)
            : Stores.inMemoryWindowStore("windows", retention, size, false);
        Topology topology = new Topology();
        topology.addSource(
            AutoOffsetReset.earliest(), "events", (record, partition) -> ((Timed) record.value()).timeMs(),
            Serdes.String().deserializer(), values, topic);
        topology.addProcessor("aggregate", maker::make, "events");
        topology.addStateStore(
            Stores.windowStoreBuilder(supplier, Serdes.String(), new AggregateSerde()).withCachingEnabled(),
            "aggregate");
        topology.addSink(
            "windows-out", output, Serdes.String().serializer(), Serdes.String().serializer(), "aggregate");
        return topology;
    }

    static Topology dsl(String topic, String output) {
        StreamsBuilder builder = new StreamsBuilder();
        Serde<Event> events = Serdes.serdeFrom((name, event) -> null, new EventDeserializer());
        builder
            .stream(topic, Consumed.with(Serdes.String(), events)
                .withTimestampExtractor((record, partition) -> ((Timed) record.value()).timeMs()))
            .map((agent, event) -> KeyValue.pair(event.series(), event.value()))
            .groupByKey(Grouped.with(Serdes.String(), Serdes.Double()))
            .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofMillis(SIZE_MS), Duration.ofMillis(RETENTION_MS / 2)))
            .aggregate(
                Aggregate::empty,
                (series, value, aggregate) -> {
                    PROCESSED.incrementAndGet();
                    return aggregate.add(value);
                },
                Materialized.<String, Aggregate, WindowStore<org.apache.kafka.common.utils.Bytes, byte[]>>as("windows")
                    .withKeySerde(Serdes.String())
                    .withValueSerde(new AggregateSerde())
                    .withRetention(Duration.ofMillis(RETENTION_MS)))
            .toStream()
            .map((Windowed<String> window, Aggregate aggregate) ->
                KeyValue.pair(window.key(), aggregate.json(window.key(), window.window().start())))
            .to(output, Produced.with(Serdes.String(), Serdes.String()));
        return builder.build();
    }

    /** Writes closed windows to the output: a window closes when stream time is past its end and the lateness. */
    abstract static class Closing<V> implements Processor<String, V, String, String> {
        ProcessorContext<String, String> context;
        WindowStore<String, Aggregate> store;
        long closedMs = -1;

        @Override
        public void init(ProcessorContext<String, String> context) {
            this.context = context;
            this.store = context.getStateStore("windows");
        }

        /** Adds what is in {@code added} to the window of a series. */
        void merge(String series, long startMs, Aggregate added) {
            Aggregate present = store.fetch(series, startMs);
            store.put(series, present == null ? added : present.merge(added), startMs);
        }

        void close(long timeMs) {
            long before = Math.floorDiv(timeMs - LATENESS_MS, SIZE_MS) * SIZE_MS;
            if (before <= closedMs) {
                return;
            }
            Instant first = Instant.ofEpochMilli(closedMs < 0 ? Math.max(0, before - RETENTION_MS) : closedMs);
            try (KeyValueIterator<Windowed<String>, Aggregate> rows =
                    store.fetchAll(first, Instant.ofEpochMilli(before - 1))) {
                while (rows.hasNext()) {
                    KeyValue<Windowed<String>, Aggregate> row = rows.next();
                    String series = row.key.key();
                    context.forward(new Record<>(series, row.value.json(series, row.key.window().start()), timeMs));
                }
            }
            closedMs = before;
        }
    }

    static final class Singles extends Closing<Event> {
        @Override
        public void process(Record<String, Event> record) {
            Event event = record.value();
            close(context.currentStreamTimeMs());
            long startMs = Math.floorDiv(event.timeMs(), SIZE_MS) * SIZE_MS;
            Aggregate present = store.fetch(event.series(), startMs);
            Aggregate updated = (present == null ? Aggregate.empty() : present).add(event.value());
            store.put(event.series(), updated, startMs);
            PROCESSED.incrementAndGet();
        }
    }

    /** Aggregates a batch in arrays first, so that the store is asked once per series and window of the batch. */
    static final class Batches extends Closing<Batch> {
        @Override
        public void process(Record<String, Batch> record) {
            Batch batch = record.value();
            close(context.currentStreamTimeMs());
            Aggregate[] open = new Aggregate[batch.series().size()];
            long[] startMs = new long[open.length];
            for (int i = 0; i < batch.count(); i++) {
                int series = Short.toUnsignedInt(batch.index().getShort(2 * i));
                long timeNs = batch.baseNs() + batch.offset().getLong(8 * i);
                long start = Math.floorDiv(timeNs, SIZE_MS * 1_000_000) * SIZE_MS;
                if (open[series] == null || startMs[series] != start) {
                    put(batch, series, startMs[series], open[series]);
                    open[series] = Aggregate.empty();
                    startMs[series] = start;
                }
                open[series].add(batch.value().getDouble(8 * i));
            }
            for (int series = 0; series < open.length; series++) {
                put(batch, series, startMs[series], open[series]);
            }
            PROCESSED.addAndGet(batch.count());
        }

        private void put(Batch batch, int series, long startMs, Aggregate aggregate) {
            if (aggregate != null) {
                merge(batch.series().get(series), startMs, aggregate);
            }
        }
    }

    // The values.

    interface Timed {
        long timeMs();
    }

    record Event(String series, long timeMs, double value) implements Timed {}

    record Batch(List<String> series, long baseNs, int count, ByteBuffer index, ByteBuffer offset, ByteBuffer value)
        implements Timed {
        @Override
        public long timeMs() {
            return baseNs / 1_000_000;
        }
    }

    static final class Aggregate {
        long count;
        double sum;
        double min = Double.POSITIVE_INFINITY;
        double max = Double.NEGATIVE_INFINITY;

        static Aggregate empty() {
            return new Aggregate();
        }

        Aggregate add(double value) {
            count++;
            sum += value;
            min = Math.min(min, value);
            max = Math.max(max, value);
            return this;
        }

        Aggregate merge(Aggregate other) {
            count += other.count;
            sum += other.sum;
            min = Math.min(min, other.min);
            max = Math.max(max, other.max);
            return this;
        }

        String json(String series, long startMs) {
            return "{\"series\":\"" + series + "\",\"start_ns\":" + startMs * 1_000_000 + ",\"count\":" + count
                + ",\"sum\":" + sum + ",\"min\":" + min + ",\"max\":" + max + "}";
        }
    }

    static final class AggregateSerde extends Serdes.WrapperSerde<Aggregate> {
        public AggregateSerde() {
            super(
                (topic, a) -> a == null ? null : ByteBuffer.allocate(32)
                    .putLong(a.count).putDouble(a.sum).putDouble(a.min).putDouble(a.max).array(),
                (topic, bytes) -> {
                    if (bytes == null) {
                        return null;
                    }
                    ByteBuffer buffer = ByteBuffer.wrap(bytes);
                    Aggregate a = new Aggregate();
                    a.count = buffer.getLong();
                    a.sum = buffer.getDouble();
                    a.min = buffer.getDouble();
                    a.max = buffer.getDouble();
                    return a;
                });
        }
    }

    // Jackson's streaming parser: no tree and no object per event, the quickest way it has.

    abstract static class Json<V> implements Deserializer<V> {
        private final JsonFactory factory = new JsonFactory();

        @Override
        public V deserialize(String topic, byte[] bytes) {
            began();
            try (JsonParser parser = factory.createParser(bytes)) {
                parser.nextToken();
                return read(parser);
            } catch (IOException problem) {
                throw new java.io.UncheckedIOException(problem);
            }
        }

        abstract V read(JsonParser parser) throws IOException;

        /** The text of one field of the object that begins here; the parser is left at its end. */
        static String field(JsonParser parser, String wanted) throws IOException {
            String found = "";
            while (parser.nextToken() != JsonToken.END_OBJECT) {
                String name = parser.currentName();
                parser.nextToken();
                if (name.equals(wanted)) {
                    found = parser.getText();
                } else {
                    parser.skipChildren();
                }
            }
            return found;
        }
    }

    static final class EventDeserializer extends Json<Event> {
        @Override
        Event read(JsonParser parser) throws IOException {
            String name = "";
            String operation = "";
            String agent = "";
            long timeNs = 0;
            double value = 0;
            while (parser.nextToken() != JsonToken.END_OBJECT) {
                String field = parser.currentName();
                parser.nextToken();
                switch (field) {
                    case "name" -> name = parser.getText();
                    case "value" -> value = parser.getDoubleValue();
                    case "time_unix_nano" -> timeNs = parser.getLongValue();
                    case "labels" -> operation = field(parser, "operation");
                    case "resource" -> agent = field(parser, "gen_ai.agent.id");
                    default -> parser.skipChildren();
                }
            }
            return new Event(agent + "|" + name + "|" + operation, timeNs / 1_000_000, value);
        }
    }

    static final class BatchDeserializer extends Json<Batch> {
        @Override
        Batch read(JsonParser parser) throws IOException {
            String agent = "";
            List<String> series = new ArrayList<>();
            long baseNs = 0;
            int count = 0;
            ByteBuffer index = null;
            ByteBuffer offset = null;
            ByteBuffer value = null;
            while (parser.nextToken() != JsonToken.END_OBJECT) {
                String field = parser.currentName();
                parser.nextToken();
                switch (field) {
                    case "resource" -> agent = field(parser, "gen_ai.agent.id");
                    case "series" -> series = names(parser);
                    case "base_time_unix_nano" -> baseNs = parser.getLongValue();
                    case "count" -> count = parser.getIntValue();
                    case "index" -> index = column(parser);
                    case "offset_ns" -> offset = column(parser);
                    case "value" -> value = column(parser);
                    default -> parser.skipChildren();
                }
            }
            String prefix = agent + "|";
            series.replaceAll(prefix::concat);
            return new Batch(series, baseNs, count, index, offset, value);
        }

        private static List<String> names(JsonParser parser) throws IOException {
            List<String> names = new ArrayList<>();
            while (parser.nextToken() != JsonToken.END_ARRAY) {
                String name = "";
                String operation = "";
                while (parser.nextToken() != JsonToken.END_OBJECT) {
                    String field = parser.currentName();
                    parser.nextToken();
                    switch (field) {
                        case "name" -> name = parser.getText();
                        case "labels" -> operation = field(parser, "operation");
                        default -> parser.skipChildren();
                    }
                }
                names.add(name + "|" + operation);
            }
            return names;
        }

        private static ByteBuffer column(JsonParser parser) throws IOException {
            byte[] text = parser.getText().getBytes(StandardCharsets.ISO_8859_1);
            return ByteBuffer.wrap(Base64.getDecoder().decode(text)).order(ByteOrder.LITTLE_ENDIAN);
        }
    }
}
