package io.ksm4j;

import java.time.Instant;
import java.util.List;

/** What JMX shows of the registry. */
final class RegistryBean implements MergeRegistryMXBean {

    /** A copy may be asked when its class loader is closed, and then can load no class that it has not loaded yet. */
    void loadClasses() {
        getOpenRegions();
        getMarks();
        new View(new MergeRegistry.Mark(AddressRange.between(0, 1), "", Instant.EPOCH)).getAddress();
    }

    @Override
    public long getOpenRegions() {
        return MergeRegistry.system().openRegions();
    }

    @Override
    public long getMergeableBytes() {
        return MergeRegistry.system().mergeableBytes();
    }

    @Override
    public long getLeaks() {
        return MergeRegistry.system().leaks();
    }

    @Override
    public List<MarkView> getMarks() {
        return MergeRegistry.system().marks(0, Long.MAX_VALUE, MAX_MARKS).stream()
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
