import org.apache.kafka.common.serialization.*;
import org.apache.kafka.streams.*;
import org.apache.kafka.streams.kstream.*;
import org.apache.kafka.streams.processor.api.*;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.*;
import java.nio.ByteBuffer;
import java.time.*;
import java.util.*;
import java.util.concurrent.atomic.*;
public class KsBench {
  // minimal Avro reader for the known layout: 5B header, fixed16, varints
  static long vlong(ByteBuffer b){ long v=0; int s=0; while(true){ int c=b.get()&0xff; v|=((long)(c&0x7f))<<s; if((c&0x80)==0)break; s+=7;} return (v>>>1)^-(v&1);}
  static final AtomicLong n=new AtomicLong(); static volatile long t0=0;
  public static void main(String[] a) throws Exception {
    String bootstrap=a[0], topic=a[1]; long N=Long.parseLong(a[2]); String guar=a[3]; String store=a[4]; int threads=Integer.parseInt(a[5]);
    Properties p=new Properties();
    p.put("application.id","ksb-"+System.currentTimeMillis()); p.put("bootstrap.servers",bootstrap);
    p.put("processing.guarantee",guar); p.put("num.stream.threads",threads); p.put("auto.offset.reset","earliest");
    p.put("state.dir",java.nio.file.Files.createTempDirectory("ks").toString()); p.put("commit.interval.ms",guar.equals("at_least_once")?1000:1000);
    p.put("consumer.max.poll.records","5000"); p.put("producer.linger.ms","50"); p.put("producer.compression.type","lz4"); p.put("producer.batch.size","200000");
    p.put("statestore.cache.max.bytes", ""+(64L<<20));
    StreamsBuilder b=new StreamsBuilder();
    Duration ret=Duration.ofHours(2);
    WindowBytesStoreSupplier ws= store.equals("rocks")? Stores.persistentWindowStore("dedup",ret,ret,false):Stores.inMemoryWindowStore("dedup",ret,ret,false);
    b.addStateStore(Stores.windowStoreBuilder(ws,Serdes.ByteArray(),Serdes.Long()).withLoggingEnabled(Map.of("compression.type","lz4")));
    KStream<byte[],byte[]> src=b.stream(topic,Consumed.with(Serdes.ByteArray(),Serdes.ByteArray()));
    KStream<Integer,Long> dd=src.process(()->new Processor<byte[],byte[],Integer,Long>(){
      ProcessorContext<Integer,Long> c; WindowStore<byte[],Long> s;
      public void init(ProcessorContext<Integer,Long> c){this.c=c; s=c.getStateStore("dedup");}
      public void process(Record<byte[],byte[]> r){
        if(r.value()==null) return; // a tick, no event
        if(t0==0){t0=System.nanoTime();}
        ByteBuffer bb=ByteBuffer.wrap(r.value()); bb.position(5); byte[] id=new byte[16]; bb.get(id); vlong(bb); int artist=(int)vlong(bb);
        long ts=r.timestamp();
        long k=n.incrementAndGet();
        try(WindowStoreIterator<Long> it=s.fetch(id,Math.max(0,ts-3600_000L),ts+3600_000L)){ if(!it.hasNext()){ s.put(id,ts,ts); c.forward(new Record<>(artist,1L,ts)); } }
        if(k==N){ double dt=(System.nanoTime()-t0)/1e9; System.out.printf("RES kafka-streams %d %.0f ev/s %s %s threads=%d%n",N,N/dt,guar,store,threads); Runtime.getRuntime().halt(0);} 
      }
    },"dedup");
    // partial counts per 10 s pane, like our two stage design, then written to topic (suppressed by cache+commit interval)
    dd.groupByKey(Grouped.with(Serdes.Integer(),Serdes.Long()))
      .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofSeconds(10),Duration.ofMinutes(5)))
      .count(Materialized.<Integer,Long,WindowStore<org.apache.kafka.common.utils.Bytes,byte[]>>as("counts").withKeySerde(Serdes.Integer()).withValueSerde(Serdes.Long()).withRetention(Duration.ofHours(2)))
      .toStream().map((k,v)->KeyValue.pair(k.key(),v)).to("ks-out",Produced.with(Serdes.Integer(),Serdes.Long()));
    KafkaStreams ks=new KafkaStreams(b.build(),p); ks.start();
    Thread.sleep(600000);
  }
}
