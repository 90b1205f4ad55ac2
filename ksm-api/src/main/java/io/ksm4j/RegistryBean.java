package io.ksm4j;

import java.time.Instant;
import java.util.List;
import java.util.function.Supplier;

/** What JMX shows of the registry. */
record RegistryBean(Supplier<MergeRegistry> registry) implements MergeRegistryMXBean {

    /** What is not needed as long as there is no mark. */
    static void loadClasses() {
        new View(new MergeRegistry.Mark(AddressRange.between(0, 1), "", Instant.EPOCH)).getAddress();
    }

    @Override
    public long getOpenRegions() {
        return registry.get().openRegions();
    }

    @Override
    public long getMergeableBytes() {
        return registry.get().mergeableBytes();
    }

    @Override
    public long getLeaks() {
        return registry.get().leaks();
    }

    @Override
    public List<MarkView> getMarks() {
        return registry.get().marks(0, Long.MAX_VALUE, MAX_MARKS).stream()
                .<MarkView>map(View::new)
                .toList();
    }

    private record View(MergeRegistry.Mark mark) implements MarkView {

        @Override
        public String getAddress() {
            return Long.toHexString(mark.range().start());
        }

        @Override
        public long getBytes() {
            return mark.range().length();
        }

        @Override
        public String getOwner() {
            return mark.owner();
        }

        @Override
        public String getSince() {
            return mark.since().toString();
        }
    }
}
