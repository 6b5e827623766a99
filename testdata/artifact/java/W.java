import java.io.*; import java.util.*;
public class W { static class Model implements Serializable { double[] w={1,2}; String name="lr"; Map<String,Integer> m=new HashMap<>(Map.of("a",1)); }
 public static void main(String[] a) throws Exception { try (ObjectOutputStream o=new ObjectOutputStream(new FileOutputStream("model.ser"))) { o.writeObject(new Model()); }
 try (ObjectOutputStream o=new ObjectOutputStream(new FileOutputStream("plain.ser"))) { o.writeObject(new ArrayList<>(List.of(1,2.5,"x"))); }
 try (ObjectOutputStream o=new ObjectOutputStream(new FileOutputStream("url.ser"))) { o.writeObject(new HashMap<>(Map.of(new java.net.URL("http://gauntlet-canary.invalid/"),1))); } } }
