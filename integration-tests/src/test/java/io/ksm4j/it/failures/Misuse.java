// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.failures;

import io.ksm4j.AddressRange;
import io.ksm4j.Ksm;
import io.ksm4j.KsmException;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.LongBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.Stream;

/**
 * Misuses regions in short random sequences until the time is up. Every region is filled with a unique tag, so that a
 * view which shows bytes of another region is detected. The exit status is 0 if the library has kept its promises.
 *
 * <p>{@link MisuseTest} also runs this file on JDK 17, from source, so it uses no other class of these tests and no
 * newer API.
 */
final class Misuse {

    private static final List<Marking> MARKINGS = List.of(Marking.values());

    /** A size in pages that the JVM maps for no other purpose. */
    private static final int MAGIC_PAGES = 29;

    private static final int THREADS = 4;
    private static final int SEQUENCES_BETWEEN_COLLECTIONS = 100;
    private static final long PATIENCE_NANOS = 30_000_000_000L;

    /** A strong reference: the JDK keeps weak ones only, and would lose the logger with its level. */
    private static final Logger LEAK_REPORTS = Logger.getLogger("io.ksm4j");

    private static final AtomicLong TAGS = new AtomicLong();

    private final Ksm ksm = Ksm.system();
    private final boolean revokes = ksm.backend().equals("ffm");
    private final int page = (int) ksm.pageSize();
    private final ExecutorService threads = Executors.newFixedThreadPool(THREADS, task -> {
        Thread thread = new Thread(task, "misuse");
        thread.setDaemon(true);
        return thread;
    });

    /** Views from earlier sequences; some of them are the only references to a forgotten region. */
    private final List<View> survivors = new ArrayList<>();

    private final List<MergeRegion> regionsWithoutViews = new ArrayList<>();

    public static void main(String[] arguments) throws Exception {
        long seed = Long.getLong("ksm.seed", System.nanoTime());
        long seconds = Long.getLong("ksm.misuse.seconds", 8);
        System.out.println("-Dksm.seed=" + seed);
        LEAK_REPORTS.setLevel(Level.OFF);
        new Misuse().run(seed, System.nanoTime() + seconds * 1_000_000_000L);
    }

    private void run(long seed, long end) throws Exception {
        int mappingsBefore = 0;
        int sequences = 0;
        for (; System.nanoTime() < end; sequences++) {
            Random random = new Random(seed + sequences);
            try {
                if (random.nextInt(3) == 0) {
                    race(random);
                } else {
                    alone(random);
                }
                survive(random);
                if (sequences % SEQUENCES_BETWEEN_COLLECTIONS == 0) {
                    System.gc();
                    mappingsBefore = mappingsBefore == 0 ? mappings().size() : mappingsBefore;
                }
            } catch (Throwable t) {
                throw new AssertionError("sequence " + sequences + ", -Dksm.seed=" + (seed + sequences), t);
            }
        }
        survivors.forEach(View::check);
        survivors.clear();
        regionsWithoutViews.forEach(MergeRegion::close);
        regionsWithoutViews.clear();
        awaitNothingLeft(mappingsBefore);
        System.out.println(ksm.backend() + ": " + sequences + " sequences, " + TAGS + " regions, "
                + ksm.registry().leaks() + " forgotten");
    }

    // ---- One thread

    /** Runs a random sequence on one thread, so that the expected bytes of every view are known. */
    private void alone(Random random) {
        List<Tagged> regions = new ArrayList<>();
        List<View> views = new ArrayList<>();
        List<MergeRegion> adopted = new ArrayList<>();
        for (int steps = 10 + random.nextInt(40); steps > 0; steps--) {
            if (regions.isEmpty() || random.nextInt(5) == 0) {
                regions.add(allocate(random));
            }
            Tagged tagged = any(regions, random);
            switch (random.nextInt(10)) {
                case 0, 1 -> {
                    if (tagged.region.isOpen()) {
                        views.add(tagged.view(random));
                    } else {
                        expect(IllegalStateException.class, () -> tagged.region.buffer());
                    }
                }
                case 2 -> {
                    close(tagged.region);
                    close(tagged.region);
                }
                case 3 -> advise(tagged.region, random);
                case 4 -> adopt(views, tagged, random).ifPresent(adopted::add);
                case 5 -> {
                    if (!adopted.isEmpty()) {
                        advise(any(adopted, random), random);
                        adopted.remove(random.nextInt(adopted.size())).close();
                    }
                }
                case 6 -> forget(regions, views, tagged, random);
                default -> {
                    if (!views.isEmpty()) {
                        View view = any(views, random);
                        view.check();
                        view.write(random);
                        view.check();
                    }
                }
            }
        }
        views.forEach(View::check);
        adopted.forEach(MergeRegion::close);
        for (Tagged tagged : regions) {
            close(tagged.region);
        }
        views.forEach(View::check);
        views.stream().filter(view -> random.nextInt(4) == 0).forEach(survivors::add);
    }

    private Tagged allocate(Random random) {
        int pages = random.nextInt(4) == 0 ? MAGIC_PAGES : 1 + random.nextInt(8);
        RegionOptions options = RegionOptions.DEFAULT
                .withGuardPages(pages == MAGIC_PAGES || random.nextBoolean())
                .withPopulate(random.nextInt(4) == 0)
                .withMarking(MARKINGS.get(random.nextInt(MARKINGS.size())));
        return new Tagged(ksm.allocate((long) pages * page, options));
    }

    private void advise(MergeRegion region, Random random) {
        int first = random.nextInt((int) (region.size() / page));
        int pages = 1 + random.nextInt((int) (region.size() / page) - first);
        try {
            switch (random.nextInt(8)) {
                case 0 -> region.markMergeable();
                case 1 -> region.markUnmergeable();
                case 2 -> region.markMergeable((long) first * page, (long) pages * page);
                case 3 -> region.markUnmergeable((long) first * page, (long) pages * page);
                case 4 -> ksm.markMergeable(List.of(region, region));
                case 5 -> ksm.markUnmergeable(List.of(region));
                case 6 -> region.isMergeable();
                default -> {
                    if (random.nextInt(60) == 0) {
                        region.stats();
                        region.unmarkedRanges();
                    }
                }
            }
        } catch (IllegalStateException e) {
            // The region is closed or must not merge, or the memory of an adopted region is unmapped.
        }
    }

    /** Adopts memory of an open or closed or adopted region, by buffer or by address. */
    private Optional<MergeRegion> adopt(List<View> views, Tagged tagged, Random random) {
        View view = views.isEmpty() ? null : any(views, random);
        // Verifying reads smaps, which would take most of the time.
        RegionOptions options = RegionOptions.DEFAULT.withVerify(random.nextInt(60) == 0);
        try {
            if (view == null || view.bytes == null || view.bytes.isReadOnly()) {
                AddressRange range = tagged.region.range();
                return tagged.region.isOpen()
                        ? Optional.of(ksm.adopt(range.start(), range.length(), options))
                        : Optional.empty();
            }
            // Read before: in a race the region may be closed right after it was adopted.
            boolean wasOpen = view.tagged.region.isOpen();
            MergeRegion region = ksm.adopt(view.bytes, options);
            require(wasOpen || !revokes, "adopted the buffer of a region that is closed");
            return Optional.of(region);
        } catch (IllegalStateException | KsmException e) {
            // The region is closed or must not merge, or it has no whole page.
            return Optional.empty();
        }
    }

    /** Drops a region and keeps a view, or drops the view and keeps the region. Garbage is collected later. */
    private void forget(List<Tagged> regions, List<View> views, Tagged tagged, Random random) {
        if (!tagged.region.isOpen() || survivors.size() > 300) {
            return;
        }
        View view = tagged.view(random);
        regions.remove(tagged);
        views.removeIf(other -> other.tagged == tagged);
        if (random.nextBoolean()) {
            survivors.add(view.withoutRegion());
        } else if (random.nextBoolean()) {
            view.check();
            regionsWithoutViews.add(tagged.region);
        }
    }

    /** Checks the views of earlier sequences, since other regions may have their addresses now. */
    private void survive(Random random) {
        for (int i = 0; i < 10 && !survivors.isEmpty(); i++) {
            any(survivors, random).check();
        }
        while (survivors.size() > 300) {
            survivors.remove(random.nextInt(survivors.size())).check();
        }
        while (regionsWithoutViews.size() > 30) {
            MergeRegion region = regionsWithoutViews.remove(random.nextInt(regionsWithoutViews.size()));
            long[] content = longs(region.buffer());
            require(content[0] != 0 && all(content, content[0]), "a region without views has lost its content");
            region.close();
        }
    }

    // ---- Many threads

    private interface Role {
        void play() throws Exception;
    }

    /** Several threads use one region while others close it, and new regions may get its addresses. */
    private void race(Random random) throws Exception {
        Tagged tagged = new Tagged(ksm.allocate((long) (random.nextBoolean() ? MAGIC_PAGES : 4) * page));
        List<View> views = Stream.generate(() -> tagged.view(random)).limit(4).toList();
        List<Future<?>> running = new ArrayList<>();
        for (int i = 0; i < THREADS; i++) {
            long seed = random.nextLong();
            running.add(threads.submit(() -> {
                Random own = new Random(seed);
                Role role = role(own, tagged, views);
                for (int turns = 10 + own.nextInt(30); turns > 0; turns--) {
                    try {
                        role.play();
                    } catch (IllegalStateException | KsmException e) {
                        // The region was closed, or, with ffm, could not be closed because a native call is using it.
                    }
                }
                return null;
            }));
        }
        int spins = random.nextInt(20_000);
        for (int i = 0; i < spins; i++) {
            Thread.onSpinWait();
        }
        close(tagged.region);
        for (int i = 0; i < 5; i++) {
            Tagged next = new Tagged(ksm.allocate(tagged.region.size()));
            next.view(random).check();
            close(next.region);
        }
        for (Future<?> each : running) {
            try {
                each.get();
            } catch (ExecutionException e) {
                throw new AssertionError(e.getCause());
            }
        }
        require(!tagged.region.isOpen(), "open after close");
        tagged.writtenAfterClose = true;
        views.forEach(View::check);
        survivors.add(any(views, random));
    }

    private Role role(Random random, Tagged tagged, List<View> views) {
        View view = any(views, random);
        return switch (random.nextInt(9)) {
            case 0, 1 -> () -> view.read(random);
            case 2, 3 -> () -> view.put(random);
            case 4 -> () -> advise(tagged.region, random);
            case 5 ->
                () -> {
                    View other = tagged.view(random);
                    other.read(random);
                };
            case 6 -> () -> adopt(views, tagged, random).ifPresent(MergeRegion::close);
            case 7 ->
                () -> {
                    if (view.bytes != null) {
                        try (FileChannel channel = FileChannel.open(Path.of("/dev/null"), StandardOpenOption.WRITE)) {
                            channel.write(view.bytes.duplicate());
                        }
                    }
                };
            default ->
                () -> {
                    if (random.nextInt(60) == 0) {
                        tagged.region.close();
                    }
                };
        };
    }

    /** With ffm, a region cannot be closed during a native call on a view; it stays open then. */
    private static void close(MergeRegion region) {
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        while (true) {
            try {
                region.close();
                require(!region.isOpen(), "open after close");
                return;
            } catch (IllegalStateException e) {
                require(System.nanoTime() < deadline, "cannot be closed: " + e);
                Thread.onSpinWait();
            }
        }
    }

    // ---- Views

    /** A region that is filled with a unique tag. */
    private final class Tagged {
        final long tag = TAGS.incrementAndGet() * 0x9E3779B97F4A7C15L;
        final MergeRegion region;
        volatile boolean writtenAfterClose;

        Tagged(MergeRegion region) {
            this.region = region;
            require(all(longs(region.buffer()), 0), "a new region does not start with zeros");
            fill(region.buffer().asLongBuffer(), tag);
        }

        /** Returns a random kind of view of a random part of the region. */
        View view(Random random) {
            int words = (int) (region.size() / Long.BYTES);
            int first = random.nextInt(words);
            ByteBuffer part = random.nextBoolean()
                    ? region.buffer()
                    : region.buffer((long) first * Long.BYTES, (1 + random.nextInt(words - first)) * Long.BYTES);
            return switch (random.nextInt(8)) {
                case 0 -> new View(this, part.slice(), null);
                case 1 -> new View(this, part.duplicate().slice(0, part.capacity()), null);
                case 2 -> new View(this, part.asReadOnlyBuffer(), null);
                case 3 -> new View(this, null, part.asLongBuffer());
                case 4 -> new View(this, null, part.slice().asLongBuffer().slice());
                case 5 -> new View(this, Segment.ROUND_TRIP == null ? part : Segment.roundTrip(part), null);
                default -> new View(this, part, null);
            };
        }
    }

    private final class View {
        final Tagged tagged;
        final ByteBuffer bytes;
        final LongBuffer longs;

        /** Checks a view whose region is unreachable, and so cannot be closed. */
        final long onlyTag;

        View(Tagged tagged, ByteBuffer bytes, LongBuffer longs) {
            this(tagged, bytes, longs, tagged.tag);
        }

        private View(Tagged tagged, ByteBuffer bytes, LongBuffer longs, long onlyTag) {
            this.tagged = tagged;
            this.bytes = bytes;
            this.longs = longs;
            this.onlyTag = onlyTag;
        }

        View withoutRegion() {
            return new View(null, bytes, longs, onlyTag);
        }

        /** Checks a view that no other thread uses. */
        void check() {
            boolean open = tagged == null || tagged.region.isOpen();
            if (!open && revokes) {
                expect(IllegalStateException.class, this::content);
                return;
            }
            long[] content = content();
            if (open) {
                require(all(content, onlyTag), () -> "an open region lost its content: " + describe(content));
            } else if (tagged.writtenAfterClose) {
                requireOwn(content);
            } else {
                require(all(content, 0), () -> "a closed region does not read zeros: " + describe(content));
            }
        }

        private long[] content() {
            return longs != null ? longs(longs) : longs(bytes);
        }

        /** Checks a view whose region other threads may be closing. */
        void read(Random random) {
            if (random.nextBoolean()) {
                requireOwn(content());
                return;
            }
            long[] content = new long[longs != null ? longs.capacity() : bytes.capacity() / Long.BYTES];
            for (int i = 0; i < content.length; i++) {
                content[i] = longs != null ? longs.get(i) : bytes.getLong(i * Long.BYTES);
            }
            requireOwn(content);
        }

        private void requireOwn(long[] content) {
            for (long word : content) {
                require(
                        word == 0 || word == onlyTag,
                        () -> "a view shows another region's bytes: " + describe(content));
            }
        }

        /** Overwrites bytes with the same bytes of the region's tag. */
        void write(Random random) {
            if (tagged != null && !tagged.region.isOpen()) {
                if (revokes) {
                    if (!isReadOnly()) {
                        expect(IllegalStateException.class, () -> put(random));
                    }
                    return;
                }
                tagged.writtenAfterClose = true;
            }
            put(random);
        }

        void put(Random random) {
            if (isReadOnly()) {
                return;
            }
            if (longs != null) {
                int at = random.nextInt(longs.capacity());
                if (random.nextBoolean()) {
                    longs.put(at, onlyTag);
                } else {
                    fill(longs.duplicate().position(at), onlyTag);
                }
            } else if (random.nextBoolean()) {
                bytes.putLong(random.nextInt(bytes.capacity() / Long.BYTES) * Long.BYTES, onlyTag);
            } else {
                ByteBuffer source = ByteBuffer.allocate(bytes.capacity());
                fill(source.asLongBuffer(), onlyTag);
                if (random.nextBoolean()) {
                    bytes.put(0, source.array());
                } else {
                    bytes.duplicate().clear().put(source);
                }
            }
        }

        private boolean isReadOnly() {
            return bytes != null && bytes.isReadOnly();
        }

        private String describe(long[] content) {
            long found = Arrays.stream(content)
                    .filter(word -> word != onlyTag)
                    .findFirst()
                    .orElse(onlyTag);
            return "found " + Long.toHexString(found) + ", own " + Long.toHexString(onlyTag) + ", region "
                    + (tagged == null ? "forgotten" : tagged.region) + ", view " + (longs != null ? longs : bytes);
        }
    }

    /** {@code MemorySegment.ofBuffer(buffer).asByteBuffer()}, where Java has it. */
    private static final class Segment {
        static final Method ROUND_TRIP = find("ofBuffer", Buffer.class);
        private static final Method AS_BYTE_BUFFER = find("asByteBuffer");

        private static Method find(String name, Class<?>... parameters) {
            try {
                return Runtime.version().feature() < 22
                        ? null
                        : Class.forName("java.lang.foreign.MemorySegment").getMethod(name, parameters);
            } catch (ReflectiveOperationException e) {
                throw new LinkageError(e.getMessage(), e);
            }
        }

        static ByteBuffer roundTrip(ByteBuffer buffer) {
            try {
                return (ByteBuffer) AS_BYTE_BUFFER.invoke(ROUND_TRIP.invoke(null, buffer));
            } catch (InvocationTargetException e) {
                if (e.getCause() instanceof RuntimeException cause) {
                    throw cause;
                }
                throw new AssertionError(e);
            } catch (IllegalAccessException e) {
                throw new AssertionError(e);
            }
        }
    }

    private static long[] longs(ByteBuffer bytes) {
        byte[] copy = new byte[bytes.capacity()];
        bytes.get(0, copy);
        return longs(ByteBuffer.wrap(copy).asLongBuffer());
    }

    private static long[] longs(LongBuffer longs) {
        long[] copy = new long[longs.capacity()];
        longs.get(0, copy);
        return copy;
    }

    private static void fill(LongBuffer longs, long tag) {
        long[] tags = new long[longs.remaining()];
        Arrays.fill(tags, tag);
        longs.put(tags);
    }

    private static boolean all(long[] words, long expected) {
        return Arrays.stream(words).allMatch(word -> word == expected);
    }

    // ---- The end

    private void awaitNothingLeft(int mappingsBefore) {
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        String left;
        do {
            System.gc();
            List<String> mappings = mappings();
            long magic = mappings.stream().filter(this::isMagic).count();
            long mergeable = smaps().filter(line -> line.startsWith("VmFlags:") && (line + " ").contains(" mg "))
                    .count();
            left = ksm.registry().openRegions() + " regions, " + ksm.registry().mergeableBytes() + " mergeable bytes, "
                    + magic + " mappings of the tests, " + mergeable + " mergeable mappings";
            // The JVM maps some memory for itself; leaked regions would be thousands.
            if (left.equals("0 regions, 0 mergeable bytes, 0 mappings of the tests, 0 mergeable mappings")
                    && mappings.size() < mappingsBefore + 200) {
                return;
            }
            left += ", " + mappings.size() + " mappings after " + mappingsBefore;
        } while (System.nanoTime() < deadline);
        throw new AssertionError("not given back: " + left);
    }

    private boolean isMagic(String mapping) {
        String[] range = mapping.substring(0, mapping.indexOf(' ')).split("-", 2);
        return mapping.contains(" rw-p ")
                && Long.parseLong(range[1], 16) - Long.parseLong(range[0], 16) == (long) MAGIC_PAGES * page;
    }

    private static List<String> mappings() {
        return lines("/proc/self/maps")
                .filter(line -> !line.contains("vsyscall"))
                .toList();
    }

    private static Stream<String> smaps() {
        return lines("/proc/self/smaps");
    }

    private static Stream<String> lines(String file) {
        try {
            return Files.readAllLines(Path.of(file), StandardCharsets.ISO_8859_1).stream();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    // ---- Checks

    private static <T> T any(List<T> of, Random random) {
        return of.get(random.nextInt(of.size()));
    }

    private static void require(boolean met, String otherwise) {
        require(met, () -> otherwise);
    }

    private static void require(boolean met, Supplier<String> otherwise) {
        if (!met) {
            throw new AssertionError(otherwise.get());
        }
    }

    private static void expect(Class<? extends RuntimeException> expected, Runnable action) {
        try {
            action.run();
        } catch (RuntimeException e) {
            if (expected.isInstance(e)) {
                return;
            }
            throw e;
        }
        throw new AssertionError("no " + expected.getName());
    }
}
